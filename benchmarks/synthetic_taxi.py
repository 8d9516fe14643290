"""The taxi table, many times as large, with cardinalities as a larger table would have them.

Every copy of a row moves: money, miles and seconds by up to a tenth, places by some hundred metres,
the time by whole weeks (so that hour and day stay true); one copy in five drives for a company of its
own, so that the list of companies grows with the table. Label and features keep their relation.
"""

from pathlib import Path
from typing import Any

import numpy as np

WHOLE_NUMBERS = (
    "trip_seconds",
    "pickup_community_area",
    "dropoff_community_area",
    "pickup_census_tract",
    "dropoff_census_tract",
)


def write_table(source: Path, directory: Path, times: int, parquet: bool = False) -> Path:
    """Writes `times` copies of the CSV file `source` to `directory`, one file for every ten copies.

    Returns:
      `directory`; what is complete there already is not written again.
    """
    import pandas

    suffix = "parquet" if parquet else "csv"
    directory.mkdir(parents=True, exist_ok=True)
    # Otherwise pandas makes whole numbers decimals where some are missing.
    table = pandas.read_csv(source, dtype=dict.fromkeys(WHOLE_NUMBERS, "Int64"))
    for first in range(0, times, 10):
        file = directory / f"part-{first // 10:04d}.{suffix}"
        if file.exists():
            continue
        copies = [_vary(table, copy) for copy in range(first, min(first + 10, times))]
        part = pandas.concat(copies, ignore_index=True)
        unfinished = file.with_suffix(".unfinished")
        if parquet:
            part.to_parquet(unfinished, index=False)
        else:
            part.to_csv(unfinished, index=False)
        unfinished.rename(file)
    return directory


def _vary(table: Any, copy: int) -> Any:
    if copy == 0:
        return table
    random, varied = np.random.default_rng(copy), table.copy()
    factor = random.uniform(0.9, 1.1, len(table))
    for name in ("fare", "tips"):
        varied[name] = (varied[name] * factor).round(2)
    varied["trip_miles"] = (varied["trip_miles"] * random.uniform(0.9, 1.1, len(table))).round(2)
    varied["trip_seconds"] = ((varied["trip_seconds"] * factor / 60).round() * 60).astype("Int64")
    varied["trip_start_timestamp"] += random.integers(0, 50, len(table)) * 604_800
    for name in ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude"):
        varied[name] += random.normal(0, 0.002, len(table)).round(6)
    own = random.random(len(table)) < 0.2
    varied.loc[own, "company"] = varied.loc[own, "company"] + f" {copy}"
    return varied
