"""A model with several heads, from a table to a pushed version, and a gate of one head that refuses it."""

import json

import numpy as np
import tensorflow as tf

from .conftest import Project

DATASET = """
name = "heads"
[source]
format = "csv"
path = "../data/heads"
[label]
task = "multilabel"
[label.heads.click]
column = "clicked"
[label.heads.cart]
expression = "cart > 0"
loss_weight = 2.0
[label.heads.buy]
column = "event"
positive = "buy"
[features]
price = { kind = "numeric" }
category = { kind = "vocabulary", size = 5 }
[model]
hidden_units = [8]
[training]
epochs = 3
global_batch_size = 64
learning_rate = 0.01
[evaluation]
slices = ["category"]
[gates.mean_auc]
min = 0.6
max_drop = 0.02
[gates.buy_auc]
min = 0.95
[gates.click_auc]
min = 0.6
slice_min = { category = 0.3 }
"""


def table(rows: int) -> str:
    """Clicks follow the category, carts the price, purchases a bit of both; each is missing in some rows."""
    random = np.random.default_rng(5)
    lines = ["price,category,clicked,cart,event\n"]
    for _ in range(rows):
        price, category = random.gamma(2, 20), random.choice(["a", "b", "c"])
        click = int(random.random() < (0.8 if category == "a" else 0.2))
        cart = random.integers(1, 4) if random.random() < min(price / 80, 0.9) else 0
        event = "buy" if random.random() < price / 150 + 0.2 * (category == "a") else "leave"
        cells = [
            "" if random.random() < hole else str(value)
            for value, hole in ((click, 0.2), (cart, 0.1), (event, 0.3))
        ]
        lines.append(f"{price:.2f},{category},{','.join(cells)}\n")
    return "".join(lines)


def test_one_head_below_its_gate_refuses_the_model_and_above_it_pushes(project: Project) -> None:
    project.add_dataset("heads", DATASET, table(3000))
    refused = project.run("heads")
    assert refused.status == 0, refused.error
    assert refused.summary["blessed"] is False and refused.summary["pushed_model"] is None
    (refusal,) = refused.summary["refusals"]
    assert refusal.startswith("buy_auc on the whole eval split: ") and "at least 0.95" in refusal
    assert refusal in refused.output
    notes = "\n".join(refused.summary["notes"])
    assert "labels of buy: " in notes and "labels of click: " in notes
    run = project.run("heads", "--set", "gates.buy_auc.min=0.6")
    assert run.summary["blessed"] is True, run.summary["refusals"]
    assert run.states["Trainer"] == "cached"
    metrics = run.summary["metrics"]
    assert run.summary["main_metric"] == "mean_auc"
    mean = np.mean([metrics[f"{head}_auc"] for head in ("buy", "cart", "click")])
    assert abs(metrics["mean_auc"] - mean) < 1e-9 and mean > 0.6
    assert metrics["example_count"] == run.summary["examples"]["eval"] > metrics["buy_example_count"]
    signatures = tf.saved_model.load(run.summary["pushed_model"]).signatures
    answer = signatures["predict_raw"](price=tf.constant([9.5, 90.0]), category=tf.constant(["a", ""]))
    assert {name: values.shape.as_list() for name, values in answer.items()} == {
        "buy": [2, 1], "cart": [2, 1], "click": [2, 1]
    }  # fmt: skip
    # Carts follow the price.
    assert answer["cart"][1, 0] > answer["cart"][0, 0]
    reports = sorted((project.root / "runs" / "heads" / "reports").glob("*.json"))
    document = json.loads(reports[-1].read_text())
    assert set(document["evaluation"]["head_curves"]) == {"buy", "cart", "click"}
    assert {curve["name"] for curve in document["training"]["curves"]} >= {"loss", "buy_auc", "click_auc"}
    text = reports[-1].with_suffix(".html").read_text()
    assert "Curves of buy" in text and "By head" in text
