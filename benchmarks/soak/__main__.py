"""Nights of retraining on which something goes wrong, drawn by a seed, and what must hold after each.

    unshare --map-root-user --mount .venv/bin/python -m benchmarks.soak               # thirty nights
    unshare --map-root-user --mount .venv/bin/python -m benchmarks.soak --nights 3 --seed 7 --only "full disk"

Every run is the real `pipeline.retrain` in a process of its own. Each trouble comes once before any comes again;
in the morning it is repaired, and the day is trained. The workspace is on a disk of its own, which is really full
where it is full: to mount it needs root, or a namespace, which is what `unshare` is for.

Writes a JSON file of figures. Exit status: 0 every promise held, 1 one did not, which is said with its night.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.soak import supply
from benchmarks.soak.promises import BrokenPromiseError, check_settled, promise, used_mib
from benchmarks.soak.scheduler import Scheduler, opened
from benchmarks.soak.troubles import FREQUENT, TROUBLES, train
from foundation.arguments import Parser

_DISK_MIB = 512
_FLAT = 1.15
"""By how much the last third of the nights may take more than the third before it, of memory and disk."""


def main() -> int:
    """Parses, lives through the nights, writes the figures."""
    parser = Parser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=30, help="from 1 on (%(default)s)")
    parser.add_argument("--seed", type=int, default=19, help="which troubles, and when (%(default)s)")
    parser.add_argument(
        "--only",
        choices=[*TROUBLES],
        metavar="TROUBLE",
        help="this trouble each night, instead of drawn ones",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results/soak.json"), help="figures (%(default)s)"
    )
    options = parser.parse_args()
    if not 1 <= options.nights <= 300:
        # All days are in the past, and those of the future have to be refused.
        parser.error(f"--nights is {options.nights}; it must be from 1 to 300.")
    with tempfile.TemporaryDirectory() as root:
        try:
            with opened(Path(root), options.seed, _DISK_MIB) as scheduler:
                troubles = (
                    [options.only] * options.nights if options.only else draw(options.nights, options.seed)
                )
                figures = live_through(scheduler, troubles)
        except subprocess.CalledProcessError as error:
            print(
                f"No disk can be mounted ({error.stderr.strip()}): begin with unshare -rm.", file=sys.stderr
            )
            return 1
        except BrokenPromiseError as error:
            print(error, file=sys.stderr)
            return 1
    options.results.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {"seed": options.seed, "date": f"{datetime.now(timezone.utc):%Y-%m-%d}", **figures}, indent=1
    )
    options.results.write_text(text + "\n")
    print(text)
    return 0


def draw(nights: int, seed: int) -> list[str]:
    """The trouble of each night: all in a drawn order, and then again, those of `FREQUENT` first."""
    chance = random.Random(seed)
    drawn: list[str] = []
    while len(drawn) < nights:
        drawn += chance.sample([*TROUBLES], len(TROUBLES))
        drawn += chance.sample(FREQUENT, len(FREQUENT))
    return drawn[:nights]


def live_through(scheduler: Scheduler, troubles: list[str]) -> dict[str, object]:
    """A good night, and then one with each of `troubles`; returns the figures.

    Raises:
      BrokenPromiseError: If a promise does not hold after a night; it names the night.
    """
    began = time.monotonic()
    days = {1: supply.good_rows(1)}
    supply.deliver(scheduler.data, 1, days[1])
    train(scheduler, 1)
    disk = [used_mib(scheduler.root / "disk")]
    left_by: dict[str, int] = {}
    for number, trouble in enumerate(troubles, 1):
        day = len(days) + 1
        left = set(scheduler.temporary.iterdir())
        try:
            TROUBLES[trouble](scheduler, day)
            if trouble != "nothing new":
                days[day] = supply.good_rows(day)
                supply.deliver(scheduler.data, day, days[day])
                train(scheduler, day)
            check_settled(scheduler, days)
            new = {path.name for path in scheduler.temporary.iterdir()} - {path.name for path in left}
            # What has been killed removes nothing.
            promise(not new or trouble == "SIGKILL", f"temporary files are left: {new}")
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"Night {number}, {trouble}: {error}") from error
        left_by[trouble] = left_by.get(trouble, 0) + len(new)
        disk.append(used_mib(scheduler.root / "disk"))
        last = scheduler.nights[-1]
        print(f"night {number:>2}  {trouble:<36} status {last.status}, {last.seconds:5.1f} s, "
              f"disk {disk[-1]:5.1f} MiB, memory {last.peak_mib:5.0f} MiB", flush=True)  # fmt: skip
    peaks = [night.peak_mib for night in scheduler.nights if not night.found_nothing and night.status == 0]
    for what, values in (("disk", disk), ("memory", peaks)):
        third = len(values) // 3
        if third >= 5:
            earlier, later = max(values[-2 * third : -third]), max(values[-third:])
            promise(later <= _FLAT * earlier, f"{what} grows: from {earlier:.1f} to {later:.1f} MiB")
    return {
        "nights": len(troubles),
        "troubles": {name: troubles.count(name) for name in sorted(set(troubles))},
        "runs": len(scheduler.nights),
        "messages": len(scheduler.listener.bodies),
        "seconds": round(time.monotonic() - began),
        "disk_mib": [round(value, 1) for value in disk],
        "peak_mib": [round(value) for value in peaks],
        "temporary_entries_left_by_kills": left_by.get("SIGKILL", 0),
    }


if __name__ == "__main__":
    sys.exit(main())
