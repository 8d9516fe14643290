"""Gradient boosting on a table that `tables.py` wrote; prints its quality on the eval rows.

400 trees of 127 leaves, columns of texts as LightGBM's categories, and otherwise its defaults, but for what is said. Runs in an environment
of its own.
"""

import sys
from pathlib import Path

import lightgbm
import pandas as pd
from sklearn.metrics import mean_absolute_error, roc_auc_score

FEATURES = {
    "flights": [
        "month", "day", "hour", "minute", "sched_dep_time", "sched_arr_time", "distance", "carrier", "origin", "dest",
        "tailnum", "flight",
    ],
    "diamonds": ["carat", "depth", "table", "x", "y", "z", "cut", "color", "clarity"],
    "carriers": [
        "month", "hour", "sched_dep_time", "sched_arr_time", "distance", "seats", "origin", "name", "manufacturer",
        "model",
    ],
}  # fmt: skip


def main(directory: Path) -> float:
    """Trains and judges."""
    name = directory.name
    train, judged = (pd.read_csv(directory / split / "rows.csv") for split in ("train", "eval"))
    both = pd.concat([train, judged])[FEATURES[name]]
    for column in both.select_dtypes("object").columns:
        both[column] = both[column].astype("category")
    rows, others = both[: len(train)], both[len(train) :]
    options: dict[str, float] = {"n_estimators": 400, "num_leaves": 127, "verbose": -1}
    if name == "diamonds":
        model = lightgbm.LGBMRegressor(objective="l1", **options).fit(rows, train.price)
        return float(mean_absolute_error(judged.price, model.predict(others)))
    if name == "flights":
        model = lightgbm.LGBMClassifier(**options).fit(rows, train.arr_delay > 15)
        return float(roc_auc_score(judged.arr_delay > 15, model.predict_proba(others)[:, 1]))
    # Trees of each of 16 classes; with the default rate of 0.1 they diverge (an accuracy of 0.22).
    options |= {"n_estimators": 100, "learning_rate": 0.03}
    model = lightgbm.LGBMClassifier(**options).fit(rows, train.carrier)
    return float((model.predict(others) == judged.carrier).mean())


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
