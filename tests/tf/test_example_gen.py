"""ExampleGen on real files: which rows end up where, and what is read only once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.components.example_gen import utils as tfx_spans
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.example_gen import single_shard
from components.example_gen.component import Executor
from components.example_gen.span_conversion import WINDOW
from components.example_gen.spans import SpanError, find_spans

DATED = "{YYYY}-{MM}-{DD}/*.csv"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the executor; gives the output artifacts."""

    def run_executor(
        pattern: str = DATED, end: str = "", fingerprint: str = "", **window: Any
    ) -> dict[str, Any]:
        number = len(list(tmp_path.glob("out-*")))
        keys = ["examples", "newest"] if "{" in pattern else ["examples"]
        outputs = {}
        for key in keys:
            outputs[key] = standard_artifacts.Examples()
            outputs[key].uri = str(tmp_path / f"out-{number}" / key)
            Path(outputs[key].uri).mkdir(parents=True)
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=["--runner=DirectRunner", "--sdk_container_image=unused"],
            tmp_dir=str(tmp_path), unique_id="1",
        )  # fmt: skip
        Executor(context).Do(
            {},
            {key: [artifact] for key, artifact in outputs.items()},
            {
                "input_base": str(tmp_path / "data"),
                "pattern": pattern,
                "file_format": "csv",
                "splits": '{"train": 2, "eval": 1}',
                "column_types": "{}",
                "window": json.dumps({"spans": 2, "missing": "fail", "duplicate": "fail", **window}),
                "window_end": end,
                "window_fingerprint": fingerprint,
                "store": str(tmp_path / "store"),
                "conversion_fingerprint": "1",
                "reading": "",
            },
        )
        return outputs

    return run_executor


def put(directory: Path, day: int, rows: int = 30, column: str = "{}") -> None:
    """A span whose rows are numbered from 1000 times the day."""
    folder = directory / "data" / f"2026-01-{day:02}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [column.format(1000 * day + row) for row in range(rows)]
    (folder / "rows.csv").write_text("\n".join(["number", *lines]) + "\n")


def days(artifact: Any, split: str) -> list[int]:
    """The day of each row, sorted."""
    files = [str(path) for path in Path(artifact.uri, f"Split-{split}").iterdir()]
    records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    examples = [tf.train.Example.FromString(record) for record in records]
    return sorted(example.features.feature["number"].int64_list.value[0] // 1000 for example in examples)


def test_trained_on_all_spans_judged_on_the_newest_and_each_is_converted_once(
    run: Run, tmp_path: Path
) -> None:
    for day in (1, 2):
        put(tmp_path, day)
    first = run()
    assert {*days(first["examples"], "train")} == {1, 2}
    assert {*days(first["examples"], "eval")} == {2} == {*days(first["newest"], "train")}
    assert days(first["examples"], "eval") == days(first["newest"], "eval")
    assert days(first["newest"], "2026-01-01") == [1] * 30, "a split of its own for a span to be checked"
    assert first["newest"].splits == ["train", "eval", "2026-01-01"]
    second_day = days(first["newest"], "train") + days(first["newest"], "eval")
    assert second_day == [2] * 30, "no row is lost"
    assert {artifact.span for artifact in first.values()} == {tfx_spans.date_to_span_number(2026, 1, 2)}

    put(tmp_path, 3)
    second = run()
    assert {*days(second["examples"], "train")} == {2, 3} and {*days(second["examples"], "eval")} == {3}
    assert days(second["examples"], "train").count(2) == days(first["newest"], "train").count(2)
    told = json.loads(Path(second["examples"].uri, WINDOW).read_text())
    assert told["converted"] == ["2026-01-03"] and told["window"] == ["2026-01-02", "2026-01-03"]
    assert sum(told["rows"]["2026-01-03"].values()) == 30
    linked = [path.stat().st_nlink for path in Path(second["examples"].uri).glob("Split-*/*")]
    assert min(linked) >= 2, "a copy takes room again"


def test_a_backfill_ends_where_it_is_told_to(run: Run, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        put(tmp_path, day)
    outputs = run(end="2026-01-02")
    assert {*days(outputs["examples"], "train")} == {1, 2} and {*days(outputs["examples"], "eval")} == {2}


def test_spans_whose_columns_differ_in_type_are_refused(run: Run, tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2, column="{}.5")
    with pytest.raises(
        SpanError, match=r"Column 'number' is INT in span 2026-01-01 and FLOAT in span 2026-01"
    ):
        run()


def test_a_span_of_several_shards_is_converted_by_beam(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, 1)
    begun = []
    original = Executor._run
    monkeypatch.setattr(Executor, "_run", lambda *arguments: (begun.append(1), original(*arguments)))
    small = run()["examples"]
    assert not begun, "half a second for each span of a window"
    monkeypatch.setattr(single_shard, "BYTES", 10)
    shutil.rmtree(tmp_path / "store")
    large = run()["examples"]
    assert begun == [1]
    for split in ("train", "eval"):
        (alone,), (by_beam,) = (Path(each.uri, f"Split-{split}").iterdir() for each in (small, large))
        assert alone.name == by_beam.name and alone.read_bytes() == by_beam.read_bytes()


def test_a_span_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2, rows=31, column='"{}')
    with pytest.raises(SpanError, match=r"Span 2026-01-02: .*rows\.csv has a quote"):
        run()


def test_files_that_change_after_the_run_began_are_refused(run: Run, tmp_path: Path) -> None:
    put(tmp_path, 1)
    with pytest.raises(SpanError, match="changed since the run began: run again"):
        run(fingerprint="of other files")


def test_a_table_without_spans_is_converted_whole(run: Run, tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2)
    outputs = run(pattern="2026-*/*.csv")
    examples = outputs["examples"]
    assert sorted(days(examples, "train") + days(examples, "eval")) == [1] * 30 + [2] * 30
    assert examples.span == 0 and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("{YYYY}/{MM}-{DD}.csv", "2026/01-31.csv"), ("s{SPAN:4}.csv", "s0042.csv"), ("{SPAN}/a.csv", "7/a.csv")],
)
def test_spans_have_the_numbers_that_tfx_gives_them(tmp_path: Path, pattern: str, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")
    (span,) = find_spans(tmp_path, pattern)
    is_dated = "YYYY" in pattern
    assert (
        tfx_spans.get_pattern_for_span_version(pattern, not is_dated, is_dated, False, span.number, None)
        == name
    )
