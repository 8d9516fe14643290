"""A step whose work two processes share leaves what one leaves."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.evaluator.arrays import reading
from components.evaluator.arrays.evaluation import Evaluation, evaluate
from components.evaluator.arrays.features import Features
from components.example_gen.reading import groups
from components.processes import division, number
from components.processes.number import count_processes, decide_processes
from components.statistics_gen.component import Executor
from pipeline.config.profile import Beam
from tests.tf.evaluations import BINARY, asked
from tests.tf.test_columnar_examples import convert_here
from trainer_module.label import TRANSFORMED_LABEL

MIB, GIB = 1 << 20, 1 << 30
ROWS = [f"{i % 97 / 96},{i % 5 // 4},{'north' if i % 3 else 'south'},{i}\n" for i in range(4000)]


class WorkersFirst(division._Division):
    """This process takes nothing before a worker has done a part: small work would be done before it has started."""

    def take(self, waits: bool = False) -> Any:
        if waits:
            with self._changed:
                assert self._changed.wait_for(lambda: self._results or self._error, timeout=120)
        return super().take(waits)


@pytest.fixture(scope="module", autouse=True)
def workers_first() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(division, "_Division", WorkersFirst)
        # Otherwise small files are one part.
        patch.setattr(groups, "BYTES", 1)
        yield
    division.end_zygote()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of eight files, and one as well."""
    directory = tmp_path_factory.mktemp("rows")
    for part in range(8):
        rows = "".join(ROWS[part::8])
        (directory / f"{part}.csv").write_text(f"score,label,zone,key\n{rows}")
    made = {
        count: convert_here(directory.glob("*.csv"), "csv", directory / f"by-{count}", processes=count)
        for count in (1, 2)
    }
    assert made[1] == made[2] and sum(map(len, made[1].values())) == len(ROWS)
    return directory / "by-2"


def test_statistics_are_the_same(examples: Path, tmp_path: Path) -> None:
    given = standard_artifacts.Examples()
    given.uri, given.split_names = str(examples), json.dumps(["train", "eval"])
    found = {}
    for count in (1, 2):
        made = standard_artifacts.ExampleStatistics()
        made.uri = str(tmp_path / str(count))
        arguments = Beam(direct_num_workers=count).arguments()
        context = BaseBeamExecutor.Context(beam_pipeline_args=arguments)
        Executor(context).Do({"examples": [given]}, {"statistics": [made]}, {})
        found[count] = tfdv.load_stats_binary(f"{made.uri}/Split-train/FeatureStats.pb")
    assert found[1] == found[2]


class Model(tf.Module):
    """Predicts the score, whatever the label is."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def predict(self, examples: Any) -> dict[str, Any]:
        return {"p": parse(examples, "score", tf.float32)[:, tf.newaxis]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def transform(self, examples: Any) -> dict[str, Any]:
        return {TRANSFORMED_LABEL: parse(examples, "label", tf.int64)}


def parse(examples: Any, name: str, kind: Any) -> Any:
    return tf.io.parse_example(examples, {name: tf.io.FixedLenFeature([], kind)})[name]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    model, directory = Model(), str(tmp_path_factory.mktemp("model"))
    signatures = {"serving_default": model.predict, "transform_features": model.transform}
    tf.saved_model.save(model, directory, signatures)
    return directory


def test_metrics_are_the_same_to_the_last_bit(examples: Path, saved: str, tmp_path: Path) -> None:
    config = asked(tmp_path, BINARY)
    files = [str(file) for file in sorted((examples / "Split-eval").iterdir())]
    evaluation = Evaluation(config, {spec.name: saved for spec in config.model_specs}, (), None)
    found = {}
    for count in (1, 2):
        with beam.Pipeline() as pipeline:
            evaluate(pipeline, files, evaluation, str(tmp_path / str(count)), count)
        found[count] = dict(tfma.load_eval_result(str(tmp_path / str(count))).slicing_metrics)
    assert [*found[1][()].values()] and len(found[1]) == 3 and repr(found[1]) == repr(found[2])


def test_trap_long_rows_are_judged_in_batches_of_few(saved: str, tmp_path: Path) -> None:
    path = str(tmp_path / "long.gz")
    made = {
        "score": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
        "text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(1 << 20)])),
    }
    row = tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for _ in range(20):
            writer.write(row)
    reader = reading.Reader({"": reading.Model(saved)}, (), (), Features(), None)
    assert [len(batch.candidate.labels) for batch, _ in reader.read(path)] == [15, 5]


@pytest.mark.parametrize(
    "work, cores, free, count",
    [
        (2 * MIB, 32, 100 * GIB, 1),
        (31 * MIB, 32, 100 * GIB, 1),
        (64 * MIB, 32, 100 * GIB, 4),
        (900 * MIB, 2, 100 * GIB, 2),
        (900 * MIB, 32, 100 * GIB, 32),
        (900 * MIB, 32, 3 * GIB, 4),
        (900 * MIB, 32, 0, 1),
    ],
)
def test_processes_follow_from_rows_cores_and_memory(work: int, cores: int, free: int, count: int) -> None:
    assert decide_processes(work, 16 * MIB, cores, free) == count


def test_what_the_profile_says_wins_and_beam_divides_where_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(number, "usable_cores", lambda: 8)
    monkeypatch.setattr(number, "free_memory", lambda: 20 * GIB)
    count = functools.partial(count_processes, work=100 * MIB, least=16 * MIB)
    caplog.set_level("INFO")
    assert count(Beam().arguments()) == 6
    assert "6 processes for 100.0 MiB (8 cores, 20 GiB of memory free)" in caplog.text
    assert count(Beam(direct_num_workers=1).arguments()) == 1
    assert count(Beam(direct_num_workers=3).arguments()) == 3
    assert count(Beam(direct_running_mode="multi_processing").arguments()) is None
    assert count(["--runner=FlinkRunner"]) is None
    # Of TFX's own graphs and of tests.
    assert count([]) == 1
