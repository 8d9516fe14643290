"""A run's jobs on Flink: shown, and cancelled where the run ends before them."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.profile import Beam
from pipeline.engines.arguments import PLACES, as_environment
from pipeline.engines.flink import Flink
from pipeline.engines.readiness import flink_of
from pipeline.engines.watch import following
from pipeline.kubeflow import sharing
from tests.flink_stand_in import Answers


@pytest.fixture
def flink() -> Iterator[Answers]:
    answers = Answers()
    yield answers
    answers.close()


class Lines:
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.noted.append(text)


def job(name: str, state: str = "RUNNING") -> dict[str, Any]:
    return {"jid": name[::-1], "name": name, "state": state, "tasks": {"total": 36, "finished": 12}}


def test_a_run_that_ends_early_cancels_its_jobs_and_nobody_elses(flink: Answers) -> None:
    flink.jobs = [job("taxi-2"), job("taxi-2", "FINISHED"), job("shop-1"), job("taxi-1")]
    with (
        pytest.raises(KeyboardInterrupt),
        following(Flink(flink.address), "taxi-2", ["taxi-1"], Lines()) as notes,
    ):
        # Of a run that was killed, before this one began.
        assert flink.cancelled == ["1-ixat"]
        raise KeyboardInterrupt
    assert flink.cancelled == ["1-ixat", "2-ixat"]
    assert notes == ["the Flink job taxi-1 was cancelled", "the Flink job taxi-2 was cancelled"]
    assert flink.jobs[2]["state"] == "RUNNING"


def test_progress_is_flinks_own_with_its_address(flink: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engines.watch._EVERY", 0.01)
    flink.jobs, lines = [job("taxi-2")], Lines()
    with following(Flink(flink.address), "taxi-2", [], lines) as notes:
        deadline = time.monotonic() + 5
        while not lines.noted and time.monotonic() < deadline:
            time.sleep(0.01)
        flink.jobs[0]["state"] = "FINISHED"
    assert lines.said == [f"Flink job taxi-2: http://{flink.address}/#/job/running/2-ixat"]
    assert lines.noted[0] == "Flink job running, 12 of 36 tasks done"
    assert notes == [] and flink.cancelled == []


def test_flink_that_has_gone_does_not_keep_a_run_from_ending(flink: Answers) -> None:
    with following(Flink(flink.address), "taxi-2", [], Lines()) as notes:
        flink.close()
    assert len(notes) == 1 and notes[0].startswith(
        "whether jobs taxi-2* go on is not known: No Flink answers"
    )


def test_only_a_flink_that_is_named_is_followed() -> None:
    assert flink_of(Beam()) is None
    assert flink_of(Beam("FlinkRunner", options=("--flink_master=[local]",))) is None
    named = flink_of(Beam("FlinkRunner", options=("--flink_master", "https://flink:443/")))
    assert named and named.url == "https://flink:443"


def test_a_steps_arguments_are_as_many_whatever_they_are() -> None:
    few, many = as_environment(["--runner=A"]), as_environment(["--runner=A", "--x=1", "--y=2"])
    assert few.keys() == many.keys() and len(few) == PLACES
    assert [value for value in many.values() if value != "--runner=A"] == ["--x=1", "--y=2"]


def test_a_steps_retry_on_kubeflow_cancels_the_job_of_the_attempt_that_was_killed(
    flink: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "check_engine", lambda *_: None)
    outputs = {"artifacts": {"statistics": {"artifacts": [{"uri": str(tmp_path / "pod")}]}}}
    adapted = {"inputs": {}, "outputs": outputs}
    arguments = ["--runner=FlinkRunner", f"--flink_master={flink.address}"]

    def attempt() -> AbstractContextManager[sharing.Shared]:
        return sharing.sharing(tmp_path / "beam", "StatisticsGen", adapted, arguments, "")

    with attempt() as killed:
        (name,) = [text.partition("=")[2] for text in killed.arguments if "--job_name" in text]
    killed.folder.mkdir()
    (killed.folder / "left").touch()
    flink.jobs = [job(name), job("statisticsgen-of-another-run")]
    with attempt() as retried:
        assert flink.cancelled == [name[::-1]] and list(retried.folder.iterdir()) == [
            retried.folder / "outputs"
        ]
        (Path(retried.adapted["outputs"]["artifacts"]["statistics"]["artifacts"][0]["uri"]) / "made").touch()
    assert [path.name for path in (tmp_path / "pod").iterdir()] == ["made"] and not retried.folder.exists()
    shared = str(retried.folder / "outputs" / "statistics-0")
    assert retried.restore({"uri": [shared, f"{shared}/made", f"{shared}-other"]}) == {
        "uri": [str(tmp_path / "pod"), str(tmp_path / "pod" / "made"), f"{shared}-other"]
    }
