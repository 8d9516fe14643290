"""What a person reads of a run that failed."""

import time
from pathlib import Path

import pytest

from components.example_gen.source_format import ConversionError
from foundation.sections import ConfigurationError, UserError
from pipeline.running.failure import explain, is_interruption
from trainer_module.distribution import launcher
from trainer_module.distribution.cluster import WorkersMissing
from trainer_module.distribution.launcher import WorkerError
from trainer_module.distribution.preemption import Preempted


def raised(error: BaseException) -> BaseException:
    """`error` as Beam or TFX hand it on: something else went wrong because of it."""
    try:
        try:
            raise error
        except BaseException as inner:
            raise RuntimeError("a stage of the pipeline failed\nwith a long trace") from inner
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize("kind", [ConfigurationError, ConversionError, WorkerError, WorkersMissing])
def test_what_was_written_for_the_user_is_shown_whole_however_deep_it_lies(kind: type[UserError]) -> None:
    assert explain(raised(kind("trips.csv, line 3: add a cell.\nThe line is: 1,2"))) == (
        "trips.csv, line 3: add a cell.\nThe line is: 1,2"
    )


def test_of_any_other_error_the_type_and_the_message_are_shown_with_what_caused_it() -> None:
    assert explain(raised(KeyError("x"))) == (
        "RuntimeError: a stage of the pipeline failed with a long trace (because of KeyError: 'x')"
    )
    assert explain(ValueError("")) == "ValueError: no message"


def test_a_message_of_many_lines_keeps_more_than_the_first_and_less_than_a_screen() -> None:
    shown = explain(ValueError("fails to update with inputs:\n" + "[359257.]\n" * 1000))
    assert shown.startswith("ValueError: fails to update with inputs: [359257.] ") and shown.endswith(" …")
    assert len(shown) < 330 and "\n" not in shown


FLINK_TRACE = (
    "Pipeline taxi_7 failed in state FAILED: org.apache.flink.util.FlinkException: JobManager failed\\n"
    + "\\tat org.apache.flink.Some.method(Some.java:1)\\n" * 40
    + "Caused by: java.util.concurrent.CompletionException: java.io.IOException: "
)


def test_of_an_engines_trace_the_last_cause_is_shown() -> None:
    """Flink's traces are of three thousand characters, and only the last cause says what to do."""
    cause = "Insufficient number of network buffers: required 512, but only 483 available."
    shown = explain(RuntimeError(f"{FLINK_TRACE}{cause}\\n\\tat x.Y.z(Y.java:2)\\n\\t... 1 more"))
    assert shown == f"RuntimeError: {cause}"


def test_of_a_workers_trace_inside_an_engines_the_last_line_is_shown() -> None:
    worker = (
        "Error received from SDK harness for instruction 4: Traceback (most recent call last):\n"
        "  File \"worker.py\", line 3, in process\nKeyError: 'fare'\n\nDuring handling of it:\n"
        "ValueError: trips.csv has no fare [while running 'ReadRows']\n\n\tat x.Y.z(Y.java:2)\n"
    )
    assert explain(RuntimeError(FLINK_TRACE + worker)) == (
        "RuntimeError: ValueError: trips.csv has no fare [while running 'ReadRows']"
    )


def test_an_interruption_says_that_nothing_is_lost() -> None:
    assert "the next run starts where this one stopped" in explain(KeyboardInterrupt())


def test_options_that_a_library_cannot_read_are_no_interruption() -> None:
    error = SystemExit(2)
    assert not is_interruption(error)
    assert "status 2" in explain(error) and "[beam] options" in explain(error)
    assert is_interruption(Preempted()) and is_interruption(KeyboardInterrupt())
    assert "the next run starts where this one stopped" in explain(Preempted())


class Sleeper:
    """A worker's process that ends when it is asked for the first time, or never."""

    def __init__(self, status: int | None) -> None:
        self._status = status
        self.returncode: int | None = None

    def poll(self) -> int | None:
        self.returncode = self._status
        return self.returncode


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_a_dead_worker_is_noticed_whichever_it_is(tmp_path: Path, dead: int) -> None:
    running = []
    for index in range(3):
        log = tmp_path / f"worker-{index}.log"
        log.write_text("")
        running.append(launcher._Worker(index, Sleeper(-9 if index == dead else None), log))  # type: ignore[arg-type]
    began = time.monotonic()
    with pytest.raises(WorkerError, match=f"Worker {dead} of 3 was killed by SIGKILL"):
        launcher._wait(running)
    assert time.monotonic() - began < 1
