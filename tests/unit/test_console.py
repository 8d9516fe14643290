"""Libraries write to the log file, below Python too; people read the terminal."""

import io
import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config import ROOT
from pipeline.running.console import Progress
from pipeline.running.interruption import Asked, interruptible

CODE = """
import os, sys
from pathlib import Path
from pipeline.running.console import quiet
with quiet(Path(sys.argv[1])) as terminal:
    print("from Python")
    os.write(2, b"from C\\n")
    terminal.write("for people\\n")
print("afterwards")
"""


def test_only_what_is_meant_for_people_reaches_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    answer = subprocess.run(
        [sys.executable, "-c", CODE, str(log)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "for people\nafterwards\n" and not answer.stderr
    assert set(log.read_text().splitlines()) == {"from Python", "from C"}


def test_an_interrupt_that_python_lost_ends_the_run_before_the_next_node() -> None:
    interrupted = Asked()
    progress = Progress(Console(file=io.StringIO()), interrupted)
    progress.emit(starting("Trainer"))
    interrupted.set()
    with pytest.raises(KeyboardInterrupt):
        progress.emit(starting("Trainer"))


def starting(node: str) -> logging.LogRecord:
    return logging.LogRecord("absl", logging.INFO, "", 0, "Component %s is running.", (node,), None)


def test_what_goes_live_is_not_stopped_half_way_and_the_next_node_does_not_begin() -> None:
    with interruptible() as asked:
        progress = Progress(Console(file=io.StringIO()), asked)
        progress.emit(starting("Pusher"))
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            progress.emit(starting("AppExporter"))
    assert asked.signal == signal.SIGTERM


def test_a_run_that_is_ending_hears_a_second_signal_only_where_it_costs_no_record() -> None:
    with interruptible() as asked:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        asked.is_held = True
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), asked.heard():
            signal.raise_signal(signal.SIGINT)
        assert asked.is_held
