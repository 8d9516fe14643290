"""A small dataset that is retrained on night after night, and the ways in which a day of it can be bad."""

import os
import random
import string
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

ROWS = 240
"""Of each day."""
FIRST = date(2026, 1, 1)
WINDOW = 3
_DATASET = string.Template("""
name = "$name"
[source]
format = "csv"
path = "data"
schema = "$name.pbtxt"
pattern = "{YYYY}-{MM}-{DD}.csv"
[window]
spans = $window
missing = "warn"
[label]
task = "binary"
column = "paid"
[features]
price = { kind = "numeric" }
brand = { kind = "vocabulary", size = 10 }
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
""")
_SCHEMA = """
feature { name: "price" type: FLOAT presence { min_fraction: 1 }
  drift_comparator { jensen_shannon_divergence { threshold: 0.2 } } }
feature { name: "brand" type: BYTES presence { min_fraction: 1 }
  drift_comparator { infinity_norm { threshold: 0.2 } } }
feature { name: "paid" type: INT presence { min_fraction: 1 } }
"""


def describe(directory: Path, name: str) -> Path:
    """Writes the dataset file and its schema, of days in ``data/``, which is made; returns the file."""
    (directory / "data").mkdir()
    (directory / f"{name}.pbtxt").write_text(_SCHEMA)
    file = directory / f"{name}.toml"
    file.write_text(_DATASET.substitute(name=name, window=WINDOW))
    return file


def name_of(day: int) -> str:
    """The span of a day, counted from 1."""
    return (FIRST + timedelta(day - 1)).isoformat()


def good_rows(day: int, factor: float = 1.0) -> bytes:
    """Who pays is decided by the price, before it is multiplied by `factor`, but for some noise."""
    return _rows(day, lambda chance, price: price + chance.gauss(0, 1.5) > 5, factor)


def random_rows(day: int) -> bytes:
    """Who pays is decided by chance alone."""
    return _rows(day, lambda chance, price: chance.random() < 0.5)


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


def _rows(day: int, pays: Callable[[random.Random, float], bool], factor: float = 1.0) -> bytes:
    chance = random.Random(day)
    lines = ["price,brand,paid"]
    for _ in range(ROWS):
        price = chance.uniform(1, 10)
        paid = pays(chance, price)
        lines.append(f"{price * factor:.2f},{chance.choice('abc')},{int(paid)}")
    return ("\n".join(lines) + "\n").encode()
