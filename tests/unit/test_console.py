"""Libraries write to the log file, below Python too; people read the terminal."""

import subprocess
import sys
from pathlib import Path

from pipeline.config import ROOT

CODE = """
import os, sys
from pathlib import Path
from pipeline.console import quiet
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
