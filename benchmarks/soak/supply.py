"""The small dataset of the soak, and the ways in which a day of it can be bad."""

import os
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

ROWS = 200
"""Of each day."""
FIRST = date(2026, 1, 1)
WINDOW = 3
KEPT_VERSIONS = 3
DATASET = f"""
name = "soak"
[source]
format = "csv"
path = "data"
schema = "soak.pbtxt"
pattern = "{{YYYY}}-{{MM}}-{{DD}}.csv"
[window]
spans = {WINDOW}
missing = "warn"
[retention]
spans = 4
runs = 3
[label]
task = "binary"
column = "paid"
[features]
price = {{ kind = "numeric" }}
brand = {{ kind = "vocabulary", size = 10 }}
[model]
embedding_dim = 2
hidden_units = [4]
[training]
epochs = 2
global_batch_size = 32
learning_rate = 0.05
[drift]
label_shift = 0.3
[gates.auc]
min = 0.7
"""
SCHEMA = """
feature { name: "price" type: FLOAT presence { min_fraction: 1 } }
feature { name: "brand" type: BYTES presence { min_fraction: 1 } }
feature { name: "paid" type: INT presence { min_fraction: 1 } }
"""


def name_of(day: int) -> str:
    """The span of a day, counted from 1."""
    return (FIRST + timedelta(day - 1)).isoformat()


def good_rows(day: int) -> bytes:
    """Who pays is decided by the price, but for some noise."""
    return _rows(day, lambda chance, price: price + chance.gauss(0, 1.5) > 5)


def contrary_rows(day: int) -> bytes:
    """Who pays is decided the other way round: what is learned from other days is wrong on this one."""
    return _rows(day, lambda chance, price: price + chance.gauss(0, 1.5) < 5)


REFUSED: dict[str, Callable[[int], bytes]] = {
    "a column is missing": lambda day: good_rows(day).replace(b"price", b"prize", 1),
    "text among numbers": lambda day: good_rows(day) + b"abc,a,1\n",
    "in UTF-16": lambda day: good_rows(day).decode().encode("utf-16"),
    "without rows": lambda day: b"price,brand,paid\n",
    "empty": lambda day: b"",
    "with NULs": lambda day: good_rows(day) + b"\0" * 100 + b"\n",
    "the day before once more": lambda day: good_rows(day - 1),
}
"""What is wrong with a day → its file; each is refused before a model is trained on it."""


def deliver(data: Path, day: int, content: bytes) -> Path:
    """Puts a day's file there by one rename."""
    unfinished = data / f".{name_of(day)}.unfinished"
    unfinished.write_bytes(content)
    file = data / f"{name_of(day)}.csv"
    os.replace(unfinished, file)
    return file


def _rows(day: int, pays: Callable[[random.Random, float], bool]) -> bytes:
    chance = random.Random(day)
    lines = ["price,brand,paid"]
    for _ in range(ROWS):
        price = chance.uniform(1, 10)
        lines.append(f"{price:.2f},{chance.choice('abc')},{int(pays(chance, price))}")
    return ("\n".join(lines) + "\n").encode()
