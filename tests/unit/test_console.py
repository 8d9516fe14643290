"""Libraries write to the log file, below Python too; people read the terminal."""

import io
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config import ROOT
from pipeline.running.console import Progress

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
    interrupted = threading.Event()
    progress = Progress(Console(file=io.StringIO()), interrupted)
    starts = logging.LogRecord("absl", logging.INFO, "", 0, "Component %s is running.", ("Trainer",), None)
    progress.emit(starts)
    interrupted.set()
    with pytest.raises(KeyboardInterrupt):
        progress.emit(starts)
