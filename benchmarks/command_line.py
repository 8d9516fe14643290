"""How long until `--help`, and until a wrong configuration is refused?"""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measurement import OURS, ROOT, Question, Row

COMMANDS = {
    "--help": ["--help"],
    "wrong configuration": ["--set", "training.epochs=none"],
    "--dry-run": ["--dry-run"],
}
QUESTION = Question(
    "command_line",
    tuple(COMMANDS),
    tuple(Row(f"`local_runner.py`, {case}", case, "seconds", "s", 1.0, absolute=True) for case in COMMANDS),
    sides=(OURS,),
    rounds=5,
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Seconds of one process."""
    del side, number, work
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "local_runner.py", *COMMANDS[case]], cwd=ROOT, capture_output=True, check=False
    )
    if result.returncode != (2 if case == "wrong configuration" else 0):
        raise RuntimeError(result.stderr.decode())
    return {"seconds": time.monotonic() - started}
