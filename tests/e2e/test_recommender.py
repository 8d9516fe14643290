"""A recommender, from a log of purchases to what the pushed model recommends, and the runs after it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline import score
from trainer_module.log import VOCABULARY
from trainer_module.settings import LEARNER

from .conftest import Project, Run

DATASET = """
name = "teashop"
[source]
format = "csv"
path = "../data/teashop"
pattern = "log/*.csv"
[log]
user = "who"
item = "product"
time = "at"
time_unit = "s"
items = "products.csv"
where = "amount > 0"
exclude = { shelf = ["bags"] }
available = "stock"
history = 20
[log.context]
till = { kind = "vocabulary", size = 4 }
[splits]
train = 8
eval = 2
[label]
task = "retrieval"
[features]
shelf = { kind = "vocabulary", size = 10 }
items = { kind = "vocabulary", size = 10 }
[model]
kind = "two_tower"
dimensions = 16
negatives = 64
[training]
epochs = 8
global_batch_size = 16
learning_rate = 0.02
early_stopping_patience = 0
[evaluation]
slices = ["shelf"]
min_slice_rows = 20
[gates.lift]
min = 0.9
"""
SHELVES = ("tea", "jam", "soap", "wool", "ink", "salt")
USERS, LATE_USERS, ITEMS, EVENTS = 140, 10, 60, 40
BAG, LATE, UNSOLD, SOLD_OUT = "0500", "0061", "0900", "0012"
"""Items: that is excluded, that is new when the model is judged, that nobody took, and that is sold out later."""
DAY, FIRST_DAY = 86_400, 19_700


def shelf_of(item: str) -> str:
    return SHELVES[int(item) % len(SHELVES)]


def products(*more: str, sold_out: str = "") -> list[tuple[str, ...]]:
    names = [f"{item:04d}" for item in range(ITEMS)]
    return [
        # How many are in a pack: a column that is called as the items themselves are.
        ("product", "shelf", "items", "stock"),
        *(
            (name, shelf_of(name), "six" if name < "0030" else "one", "0" if name == sold_out else "7")
            for name in (*names, LATE, UNSOLD, *more)
        ),
        (BAG, "bags", "one", "7"),
    ]


def purchases() -> list[tuple[Any, ...]]:
    """Of two shelves each user has four favourites at a time, of which the newest is taken most."""
    random = np.random.default_rng(3)
    rows: list[tuple[Any, ...]] = []
    for user in range(USERS):
        shelves = random.choice(len(SHELVES), 2, replace=False)
        own = [item for item in range(ITEMS) if item % len(SHELVES) in shelves]
        favourites = [int(item) for item in random.choice(own, 4, replace=False)]
        for event in range(EVENTS):
            if random.random() < 0.1:
                favourites = [*favourites[1:], int(random.choice(own))]
            place = min(int(random.geometric(0.5)), 4)
            item = favourites[-place] if random.random() < 0.8 else int(random.choice(own))
            day = FIRST_DAY + 2 * event + random.random()
            rows.append((f"u{user}", f"{item:04d}", int(day * DAY), 1))
            if event % 10 == 0:
                rows += [
                    (f"u{user}", f"{item:04d}", int(day * DAY), -1),
                    (f"u{user}", BAG, int(day * DAY), 1),
                ]
    for user in range(LATE_USERS):
        begin = (FIRST_DAY + 2 * EVENTS - 5 + user / LATE_USERS) * DAY
        rows += [(f"late{user}", LATE, int(begin), 1), (f"late{user}", "0007", int(begin + DAY), 1)]
    rows.sort(key=lambda row: row[2])
    # Of every fourth purchase nobody knows it; the others are of one whose name is no number.
    tills = ("01", "02", "01", "")
    return [
        ("who", "product", "at", "amount", "till"), *((*row, tills[n % 4]) for n, row in enumerate(rows))
    ]  # fmt: skip


def write(path: Path, rows: list[tuple[Any, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def first(project: Project) -> Run:
    (project.root / "datasets" / "teashop.toml").write_text(DATASET)
    directory = project.root / "data" / "teashop"
    write(directory / "log" / "log.csv", purchases())
    write(directory / "products.csv", products())
    run = project.run("teashop")
    assert run.status == 0, run.error
    return run


@pytest.fixture(scope="module")
def second(project: Project, first: Run) -> Run:
    return project.run("teashop")


@pytest.fixture(scope="module")
def later(project: Project, second: Run) -> Run:
    """Without training: the live model, with two products more, one of them among the others by name."""
    write(project.root / "data" / "teashop" / "products.csv", products("00305", "0960", sold_out=SOLD_OUT))
    return project.run(
        "teashop", "--set", "training.warm_start=true", "--set", "training.epochs=0", "--set", "gates.lift.min=100",
    )  # fmt: skip


def test_the_model_beats_what_is_popular_and_the_summary_says_by_how_much(first: Run) -> None:
    metrics = first.summary["metrics"]
    assert first.summary["main_metric"] == "ndcg_10" and first.summary["blessed"] is True
    counted = {
        name: metrics[f"{name}_ndcg_10"]
        for name in ("popularity", "personal_frequency", "markov", "ease")
    }  # fmt: skip
    assert metrics["ndcg_10"] > 3 * counted["popularity"]
    assert metrics["lift"] == pytest.approx(metrics["ndcg_10"] / max(counted.values()))
    assert 0 < metrics["recall_10"] <= metrics["recall_100"] <= 1 and 0 < metrics["coverage_10"] <= 1
    # Each user's first basket of the judged time, and training sequences of 20 targets.
    assert metrics["example_count"] == first.summary["examples"]["eval"] == USERS + LATE_USERS
    assert USERS < first.summary["examples"]["train"] < 3 * USERS


def test_new_users_new_items_repetitions_and_shelves_are_judged_apart(project: Project, first: Run) -> None:
    (report,) = (project.root / "runs" / "teashop" / "reports").glob(f"{first.summary['run_id']}.json")
    slices = {
        tuple(map(tuple, each["slice"])): each["metrics"]
        for each in json.loads(report.read_text())["evaluation"]["slices"]
    }
    assert {
        (), (("user", "known"),), (("user", "new"),), (("item", "known"),), (("item", "new"),),
        (("target", "repeated"),), (("target", "new to the user"),), (("shelf", "tea"),),
    } <= set(slices)  # fmt: skip
    assert slices[(("user", "new"),)]["example_count"] == LATE_USERS
    assert slices[(("user", "known"),)]["example_count"] == USERS
    # They took what training has not seen.
    assert slices[(("item", "new"),)]["example_count"] == LATE_USERS
    assert not any(value == "bags" for key in slices for _, value in key)


@pytest.fixture(scope="module")
def recommend(first: Run) -> Any:
    return tf.saved_model.load(first.summary["pushed_model"]).signatures["recommend"]


def ask(
    recommend: Any, items: list[str], k: int = 10, among: tuple[str, ...] = (), till: str = ""
) -> list[str]:
    times = [(FIRST_DAY + 2 * place) * DAY * 1000 for place in range(len(items))]
    answer = recommend(
        items=tf.constant([items], tf.string), times=tf.constant([times], tf.int64),
        exclude=tf.constant([[""]]), among=tf.constant(list(among), tf.string), k=tf.constant(k),
        till=tf.constant([till]),
    )  # fmt: skip
    assert np.all(np.diff(answer["scores"].numpy()[0]) <= 0)
    return [item.decode() for item in answer["items"].numpy()[0] if item]


def test_the_pushed_model_recommends_items_as_the_log_has_them(recommend: Any) -> None:
    history = ["0006", "0012", "0018", "0012"]
    everything = ask(recommend, history, k=100)
    assert set(everything) == {row[0] for row in products()[1:]} - {BAG}
    assert ask(recommend, history) == everything[:10]
    # What the user had, and what else is on the shelf.
    assert {"0012", "0018"} <= set(everything[:5])
    teas, others = (
        sum(shelf_of(item) == "tea" for item in ask(recommend, items))
        for items in (history, ["0001", "0007", "0013"])
    )
    assert teas > others


def test_a_request_says_the_till_by_its_name_in_the_log_and_a_warm_start_keeps_what_it_means(
    project: Project, first: Run, recommend: Any, later: Run
) -> None:
    assert (Path(first.summary["pushed_model"]) / "assets" / "till").read_text().split() == ["01", "02"]
    assert all(len(ask(recommend, ["0006"], till=till)) == 10 for till in ("01", "", "never heard of"))
    before, after = (
        variables_of(model)["network/context/shift_till"].numpy()
        for model in (Path(first.summary["pushed_model"]), trained_model(project))
    )
    # Two names, two ids that no name has yet, others, and missing.
    assert [bool(np.abs(row).max()) for row in before] == [True, True, False, False, False, True]
    np.testing.assert_array_equal(after, before)


def test_an_item_that_nobody_took_can_be_recommended(recommend: Any) -> None:
    assert set(ask(recommend, ["0006"], among=(UNSOLD, LATE, "never heard of"))) == {UNSOLD, LATE}


def test_all_users_of_the_log_are_recommended_at_once_what_a_server_answers_each(
    project: Project, first: Run, recommend: Any, tmp_path: Path
) -> None:
    """The log's directory has the item table in it, and rows of excluded items, which are in no history."""
    given = [
        "--dataset",
        str(project.root / "datasets" / "teashop.toml"),
        "--workdir",
        str(project.root / "runs"),
    ]
    log, output = project.root / "data" / "teashop", tmp_path / "lists"
    version = Path(first.summary["pushed_model"]).name
    asked = (
        "--input",
        str(log),
        "--output",
        str(output),
        "--version",
        version,
        "--k",
        "5",
        "--format",
        "csv",
    )
    assert score.main([*given, *asked]) == 0
    lists: dict[str, list[str]] = {}
    (part,) = output.glob("part-*.csv")
    with part.open(newline="") as file:
        for row in csv.DictReader(file):
            lists.setdefault(row["user"], []).append(row["item"])
    histories: dict[str, list[tuple[Any, ...]]] = {}
    for user, item, moment, amount, *_ in purchases()[1:]:
        if amount > 0 and item != BAG:
            histories.setdefault(user, []).append((item, moment))
    assert lists.keys() == histories.keys()
    for user in list(histories)[::15]:
        items, times = zip(*histories[user])
        answer = recommend(
            items=tf.constant([items]), times=tf.constant([[1000 * each for each in times]], tf.int64),
            exclude=tf.constant([[""]]), among=tf.constant([], tf.string), k=tf.constant(5),
            till=tf.constant([""]),
        )  # fmt: skip
        assert lists[user] == [item.decode() for item in answer["items"].numpy()[0]]


def test_the_second_run_trains_nothing(second: Run) -> None:
    assert second.status == 0, second.error
    cached = {node for node, state in second.states.items() if state == "cached"}
    assert {"ExampleGen", "StatisticsGen", "SchemaGen", "DataGate", "Transform", "Trainer"} <= cached


def test_a_model_without_the_wanted_lift_is_refused_by_name_and_not_pushed(
    project: Project, first: Run, second: Run, later: Run
) -> None:
    assert later.status == 0, later.error
    assert later.summary["blessed"] is False and later.summary["pushed_model"] is None
    (refusal,) = later.summary["refusals"]
    assert refusal.startswith("lift on the whole eval split: ") and "at least 100" in refusal
    assert refusal in later.output
    serving = project.root / "runs" / "teashop" / "serving" / "teashop"
    pushed = {run.summary["pushed_model"] for run in (first, second)} - {None}
    assert {str(path) for path in serving.iterdir()} == pushed


def trained_model(project: Project) -> Path:
    """That the latest Trainer exported."""
    directory = project.root / "runs/teashop/artifacts/Trainer/model"
    return max(directory.iterdir(), key=lambda path: int(path.name)) / "Format-Serving"


def test_what_is_sold_out_is_recommended_no_more_without_a_training(
    project: Project, recommend: Any, later: Run
) -> None:
    """It is of the history all the same, and what it says of the user."""
    history = ["0006", SOLD_OUT, "0018", SOLD_OUT]
    assert SOLD_OUT in ask(recommend, history)
    now = tf.saved_model.load(str(trained_model(project))).signatures["recommend"]
    everything = ask(now, history, k=100)
    assert set(everything) == {row[0] for row in products("00305", "0960")[1:]} - {BAG, SOLD_OUT}
    assert "0018" in everything[:5]


def variables_of(model: Path) -> dict[str, Any]:
    """By name."""
    names = json.loads((model / LEARNER).read_text())["variables"]
    return dict(zip(names, tf.saved_model.load(str(model)).model_variables))


def rows_of(model: Path) -> dict[str, dict[str, Any]]:
    """Variable → item → its row."""
    variables = variables_of(model)
    items = (model / "assets" / VOCABULARY).read_text().splitlines()
    return {
        # The last row is of no item.
        name: dict(zip(items, variables[name].numpy()[:-1], strict=True))
        for name in ("network/items/vectors", "network/items/biases", "network/items/repeat_biases")
    }


def test_a_warm_start_carries_items_over_by_name_and_leaves_new_ones_fresh(
    project: Project, first: Run, later: Run
) -> None:
    assert later.states["Trainer"] == "executed"
    before, after = rows_of(Path(first.summary["pushed_model"])), rows_of(trained_model(project))
    old, new = list(before["network/items/vectors"]), list(after["network/items/vectors"])
    assert set(new) - set(old) == {"00305", "0960"} and set(old) <= set(new)
    assert [new.index(item) for item in old] != list(range(len(old)))
    for name, rows in before.items():
        for item, row in rows.items():
            np.testing.assert_array_equal(after[name][item], row, err_msg=f"{name} of {item}")
    assert all(np.abs(after["network/items/vectors"][item]).max() < 0.1 for item in ("00305", "0960"))
    assert max(np.abs(row).max() for row in before["network/items/vectors"].values()) > 0.1
