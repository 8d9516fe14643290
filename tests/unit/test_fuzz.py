"""One door for errors: whatever a command, a file or a directory holds, a person reads one short sentence.

Hypothesis makes what nobody would think of. Each answer has a status that the command's help names, no traceback, and
no message of more than a screen; a success says nothing on standard error.
"""

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kubeflow_runner
import local_runner
from pipeline import models, retrain, score
from pipeline.config import ROOT
from pipeline.runs import __main__ as runs

from .records import make_record

Main = Callable[[list[str]], int]
bounded = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "-", "--", "taxi", "shop", "latest", "latest~1", "latest~99999999999", "0", "-1", "1e9", "9" * 40, "/etc",
         "/dev/null", "..", "a\nb", "\ud800", "=", "x=", "=x", "0 3 * * *", "* * * * *", "http://127.0.0.1:1",
         "http://user:pass@host", "data_directory=/x", "training.epochs=2", "x" * 3000, "Trainer"]
    ),
)  # fmt: skip
COMMANDS: dict[str, tuple[Main, tuple[str, ...], tuple[str, ...]]] = {
    "local_runner": (
        local_runner.main, ("--dry-run",), ("--dataset", "--profile", "--set", "--from", "--to", "--workdir"),
    ),
    "retrain": (
        retrain.main, ("--dry-run",), ("--dataset", "--profile", "--set", "--wait", "--workdir"),
    ),
    "kubeflow_runner": (
        kubeflow_runner.main, ("--dry-run",),
        ("--dataset", "--profile", "--set", "--schedule", "--host", "--parameter", "--timeout", "--token-file",
         "--namespace", "--output", "--submit", "--score"),
    ),
    "models": (models.main, (), ("--dataset", "--workdir", "rollback", "prune", "--keep", "config", "--canary")),
    "runs": (runs.main, (), ("--dataset", "--workdir", "show", "compare", "list")),
    "score": (
        score.main, ("--dry-run",),
        ("--dataset", "--workdir", "--input", "--output", "--keys", "--format", "--version", "--set"),
    ),
}  # fmt: skip


def ask(main: Main, arguments: Sequence[str]) -> tuple[int, str]:
    """The status and what was said on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, said.getvalue()


def check(status: int, error: str, statuses: Sequence[int] = (0, 2)) -> None:
    assert status in statuses, error
    assert (status == 0) == (not error) and "Traceback" not in error
    # argparse shows the command's own usage before its sentence.
    # A thousand of what was given, and a few words.
    assert len(error.rpartition("error: ")[2]) <= 1100


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
@bounded
@given(data=st.data())
def test_a_command_takes_or_refuses_whatever_it_is_given(command: str, data: st.DataObject) -> None:
    main, always, flags = COMMANDS[command]
    given = data.draw(st.lists(st.tuples(st.sampled_from(flags), WORDS), max_size=4))
    status, error = ask(main, [*always, *(word for pair in given for word in pair)])
    # The data of a retraining may be refused, too.
    check(status, error, (0, 2, 65))


@bounded
@given(
    cuts=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.text(max_size=6)), min_size=1, max_size=3
    ),
    which=st.sampled_from(
        ["datasets/taxi.toml", "datasets/shop.toml", "profiles/laptop.toml", "profiles/cluster.toml"]
    ),
)
def test_a_file_with_anything_in_it_is_read_or_refused(
    cuts: list[tuple[float, int, str]], which: str
) -> None:
    text = (ROOT / which).read_text()
    for place, length, put in cuts:
        start = int(place * len(text))
        text = text[:start] + put + text[start + length :]
    file = Path("mine.toml").absolute()
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    what = "--dataset" if which.startswith("datasets") else "--profile"
    check(*ask(local_runner.main, ["--dry-run", what, str(file)]), statuses=(0, 2))


RECORD = dataclasses.asdict(make_record(1_795_456_513.0))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@bounded
@given(field=st.sampled_from(sorted(RECORD)), value=JSON, cut=st.none() | st.floats(0, 1))
def test_a_record_with_anything_in_it_breaks_no_command(field: str, value: Any, cut: float | None) -> None:
    folder = Path("runs/taxi/runs")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**RECORD, field: value})
    (folder / "20261127-000000-000.json").write_text(text if cut is None else text[: int(cut * len(text))])
    for arguments in (["list"], ["show", "latest"]):
        check(*ask(runs.main, arguments))
    status, error = ask(retrain.main, ["--dry-run", "--workdir", "runs"])
    check(status, error)
