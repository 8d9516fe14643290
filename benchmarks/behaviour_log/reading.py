"""How fast a log becomes sequences, and in how much memory.

    python -m benchmarks.behaviour_log --users 20000 --events 1000000 --output DIR
    python -m benchmarks.behaviour_log.reading DIR

reads the log that the first wrote as ExampleGen does, in one process, and prints the events a second of all and of
the kernel that makes sequences alone, and the most memory that was held, in MiB.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq

from components.example_gen.behaviour_log.columns import read_identifiers
from components.example_gen.behaviour_log.conversion import LogFiles, convert_log
from components.example_gen.behaviour_log.events import Events
from components.example_gen.behaviour_log.sequences import EVAL, make_sequences
from components.example_gen.reading.dialect import Reading
from components.example_gen.splits import Splits
from trainer_module.log import Log

_KERNEL_EVENTS = 1_000_000


def main() -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.behaviour_log.reading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="what benchmarks.behaviour_log wrote")
    options = parser.parse_args()
    log = Log("user", "item", "time", items="items.parquet")
    kernel = measure_kernel(options.directory, log)
    seconds, events = measure_conversion(options.directory, log)
    measured = {
        "events": events,
        "seconds": round(seconds, 1),
        "events_per_second": round(events / seconds),
        "kernel_events_per_second": round(kernel),
        "peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }
    print(json.dumps(measured))
    return 0


def measure_kernel(directory: Path, log: Log) -> float:
    """Events a second of `make_sequences`, of the first file's."""
    file = sorted((directory / "log").glob("*.parquet"))[0]
    table = pq.read_table(file).slice(0, _KERNEL_EVENTS).combine_chunks()
    users, items = (read_identifiers(str(file), name, table[name].chunk(0)) for name in ("user", "item"))
    times = table["time"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    order = np.random.default_rng(0).permutation(len(times))
    events = Events(users.take(order), items.take(order), times[order], order)
    started = time.monotonic()
    make_sequences(events, log, {EVAL: int(np.quantile(times, 0.9))})
    return len(times) / (time.monotonic() - started)


def measure_conversion(directory: Path, log: Log) -> tuple[float, int]:
    """Seconds of the whole conversion in one process, and how many events it was of."""
    files = sorted(map(str, (directory / "log").glob("*.parquet")))
    reading = Reading(columns=log.columns, codes=("user", "item"), exact=("user", "item"), times=("time",))
    items = Reading(columns=log.item_columns, codes=("item",), exact=("item",))
    read = LogFiles("parquet", files, [str(directory / "items.parquet")], reading, items)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        with beam.Pipeline(argv=["--direct_running_mode=in_memory"]) as pipeline:
            convert_log(pipeline, read, made, Splits(train=9, eval=1), log, int(time.time() * 1000))
        counts = json.loads((Path(made) / "log.json").read_text())
    return time.monotonic() - started, counts["events"]


if __name__ == "__main__":
    sys.exit(main())
