"""How many rows a second are predicted?

`pipeline.score`, as a user starts it, on 140 times the taxi table in Parquet, 2.1 million rows in 14 files
(`synthetic_taxi`), in one process, in two of Beam's threads and in two processes. The clock is that of the summary: loading the model and,
with two processes, starting them are in it, Python's start is not. CPU seconds are of the whole command, its start
included, so that they tell two versions of the code apart also where other work disturbs the clock.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.end_to_end import finished_run, taxi_directory
from benchmarks.measurement import OURS, ROOT, Question, Row
from benchmarks.synthetic_taxi import write_table

TIMES = 140
_MODES = {
    "one process": ["beam.direct_num_workers=1"],
    "two threads": ["beam.direct_running_mode=multi_threading", "beam.direct_num_workers=2"],
    "two processes": ["beam.direct_running_mode=multi_processing", "beam.direct_num_workers=2"],
}
_BOUND = 200_000
QUESTION = Question(
    "scoring",
    tuple(_MODES),
    (
        *(
            Row(
                f"predicting 2.1 M rows of Parquet, {case}",
                case,
                "rows_per_second",
                "rows/s",
                _BOUND if case == "two threads" else None,
                more_is_better=True,
                absolute=True,
            )
            for case in _MODES
        ),
        *(
            Row(f"the same, CPU time for a million rows, {case}", case, "cpu_seconds", "s", absolute=True)
            for case in _MODES
        ),
    ),
    sides=(OURS,),
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Rows per second by the summary, and CPU seconds of the command for a million rows."""
    del number
    (file,) = taxi_directory().glob("*.csv")
    table = write_table(file, work / f"taxi-{TIMES}x-parquet", TIMES, parquet=True)
    output = work / "scoring" / case.replace(" ", "-")
    shutil.rmtree(output, ignore_errors=True)
    settings = ["source.format='parquet'", "source.pattern='*.parquet'", *_MODES[case]]
    command = [
        sys.executable, "-m", "pipeline.score", "--workdir", str(finished_run(side, work)), "--input", str(table),
        "--output", str(output), "--keys", "trip_start_timestamp",
        *(part for text in settings for part in ("--set", text)),
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    summary = json.loads((output / "summary.json").read_text())
    return {
        "rows_per_second": summary["rows"] / summary["seconds"],
        "rows": summary["rows"],
        "cpu_seconds": (used.ru_utime + used.ru_stime) / summary["rows"] * 1e6,
    }
