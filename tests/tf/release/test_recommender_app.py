"""A recommender in apps: TFLite and TF.js answer the server's lists, from numbers that the shipped code makes."""

import json
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.app_exporter import tfjs
from components.app_exporter.component import AppExportError, refuse_other_lists
from components.app_exporter.history import decode_answer, encode_history
from components.app_exporter.recommender import export_recommender_app
from tests.browser import Page, visit
from tests.debian import program
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, USER, VOCABULARY, Log
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval import export
from trainer_module.retrieval.items import Features
from trainer_module.retrieval.network import IS_ROW, Network
from trainer_module.retrieval.signatures import RECOMMENDED

from .conftest import tfjs_converts

ITEMS, HISTORY, DAY = 300, 12, 86_400_000
NAMES = [f"tea {number}" for number in range(ITEMS - 1)] + ["back\\slash"]
LOG = Log(user="u", item="i", time="t", history=HISTORY)


TITLES = {name: f"<b>{name}</b>" for name in NAMES[:-1]}
"""Texts that a page must not take for markup; one item has none."""


def make_network(encoder: str, log: Log = LOG) -> Network:
    keras.utils.set_random_seed(1)
    features = Features({"kind": ((np.arange(ITEMS) % 3).astype(np.int32)[:, None], 4)}, np.zeros((ITEMS, 0)))
    made = Network(TwoTower(encoder=encoder, dimensions=8), log, np.full(ITEMS, 5), features, name="network")  # type: ignore[arg-type]
    places = tf.zeros([1, 2], tf.int64)
    made({ITEM: places, TIME: places, BASKET: places, FIRST_TARGET: places[:, 0], IS_ROW: tf.ones([1])})
    random = np.random.default_rng(1)
    made.set_weights([weight + 0.3 * random.normal(size=weight.shape) for weight in made.get_weights()])
    return made


def save(directory: Path, encoder: str, log: Log = LOG) -> Path:
    vocabulary = directory / VOCABULARY
    vocabulary.write_text("".join(name.replace("\\", "\\\\") + "\n" for name in NAMES))
    archive = export._archive(make_network(encoder, log), log, str(vocabulary), ITEMS)
    tf.saved_model.save(archive, str(directory / "model"), signatures=archive.endpoints)
    return directory / "model"


def write_users(path: Path, count: int = 20) -> list[str]:
    """Users of none to more events than a model's history has, some of them of an item that it does not know."""
    random = np.random.default_rng(2)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for user in range(count):
            items = [NAMES[number] for number in random.integers(0, ITEMS, user)] + ["unheard of", "tea 1"]
            days = np.sort(random.integers(0, 300, len(items)))
            made = tf.train.Example()
            feature = made.features.feature
            feature[USER].bytes_list.value.append(f"u{user}".encode())
            feature[ITEM].bytes_list.value.extend(item.encode() for item in items)
            feature[TIME].int64_list.value.extend(int(day) * DAY for day in days)
            feature[BASKET].int64_list.value.extend(range(len(items)))
            feature[FIRST_TARGET].int64_list.value.append(len(items) - 1 if user else 0)
            writer.write(made.SerializeToString())
    return [str(path)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("shop")
    model, files = save(directory, "average"), write_users(directory / "users.gz")
    formats = ("float32", "dynamic", *(["tfjs"] if tfjs_converts() else []))
    app = directory / "app"
    return app, export_recommender_app(model, files, LOG, formats, app, TITLES)


def test_every_variant_answers_the_server_s_list(exported: tuple[Path, dict[str, Any]]) -> None:
    _, report = exported
    variants = report["variants"]
    assert report["rows"] == 20 and report["quality"] == "overlap_50"
    for name in {"float32", "tfjs"} & set(variants):
        assert variants[name]["quality"] == 1.0 and variants[name]["max_difference"] < 1e-3
    # Quantised: a real difference, and a small one.
    assert variants["dynamic"]["quality"] > 0.9 and 1e-4 < variants["dynamic"]["max_difference"] < 0.3
    assert variants["dynamic"]["bytes"] < variants["float32"]["bytes"]


def is_constant(interpreter: Any, index: int) -> bool:
    """Whether the file holds the tensor's values; what is only computed has none before memory is given to it."""
    try:
        interpreter.get_tensor(index)
    except ValueError:
        return False
    return True


def test_tflite_has_built_ins_only_and_its_vectors_in_eight_bits(
    exported: tuple[Path, dict[str, Any]],
) -> None:
    for name, kind in (("float32", np.float32), ("dynamic", np.int8)):
        interpreter = tf.lite.Interpreter(str(exported[0] / f"model_{name}.tflite"))
        operations = {detail["op_name"] for detail in interpreter._get_ops_details()}
        assert operations and not {each for each in operations if each.startswith(("Flex", "CUSTOM"))}
        tables = [each for each in interpreter.get_tensor_details() if list(each["shape"]) == [ITEMS, 8]]
        kept = [table["dtype"] for table in tables if is_constant(interpreter, table["index"])]
        # The converter of TensorFlow 2.21 keeps those in eight bits twice, once for each of their two uses.
        assert kept == [kind] * len(kept) and len(kept) in (1, 2 if name == "dynamic" else 1), tables


@pytest.mark.parametrize(("encoder", "log"), [
    ("attention", {}), ("gru", {}), ("transformer", {"same_time": "in_order"}), ("average", {"repeats": False}),
])  # fmt: skip
def test_every_encoder_s_app_answers_as_its_server(encoder: str, log: dict[str, Any], tmp_path: Path) -> None:
    described = Log(user="u", item="i", time="t", history=HISTORY, **log)
    model, files = save(tmp_path, encoder, described), write_users(tmp_path / "users.gz", 15)
    report = export_recommender_app(model, files, described, ("float32",), tmp_path / "app")
    assert report["variants"]["float32"]["quality"] == 1.0
    assert report["variants"]["float32"]["max_difference"] < 1e-3


def test_the_shipped_code_knows_items_by_name_and_is_the_same_in_javascript(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    app, _ = exported
    features, items = (json.loads((app / name).read_text()) for name in ("features.json", "items.json"))
    assert items == NAMES
    events = [("tea 3", 0.0), ("unheard of", 1.0), ("back\\slash", 2.0 * DAY)]
    encoded = encode_history(features, items, events)
    assert encoded["numbers"] == [[3, ITEMS - 1, *[-1] * 10]] and encoded["ages"] == [[2.0, *[0.0] * 11]]
    least = features["least_score"]
    assert decode_answer(features, items, [3, 4], [0.5, least]) == [("tea 3", 0.5)]
    script = tmp_path / "check.mjs"
    script.write_text(
        f'import {{ decodeAnswer, encodeHistory }} from "{app / "history.mjs"}";\n'
        f"const features = {json.dumps(features)}, items = {json.dumps(items)};\n"
        f"console.log(JSON.stringify([encodeHistory(features, items, {json.dumps(events)}),\n"
        f"  decodeAnswer(features, items, [3, 4], [0.5, {least}])]));\n"
    )
    node = program("node", "nodejs")
    done = subprocess.run([node, str(script)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [encoded, [["tea 3", 0.5]]]
    long = encode_history(features, items, [(f"tea {number}", number * DAY) for number in range(20)])
    assert long["numbers"] == [list(range(8, 20))] and long["ages"][0][0] == 11.0


def test_a_variant_that_answers_another_list_is_refused_by_name() -> None:
    report = {"rows": 7, "variants": {"dynamic": {"quality": 0.97}}}
    refuse_other_lists(report, 0.97)
    with pytest.raises(AppExportError, match=r"dynamic variant answers 0\.9700 .* to 7 users .* wants 0\.98"):
        refuse_other_lists(report, 0.98)


@pytest.mark.skipif(not tfjs_converts(), reason="TF.js's converter has no Python here")
def test_a_recurrent_encoder_s_loop_runs_in_javascript(tmp_path: Path) -> None:
    model, files = save(tmp_path, "gru"), write_users(tmp_path / "users.gz", 5)
    report = export_recommender_app(model, files, LOG, ("tfjs",), tmp_path / "app")
    assert report["variants"]["tfjs"]["quality"] == 1.0
    assert tfjs.install_runtime()[1].joinpath("recommend.mjs").is_file()


def best_of(server: Any, events: list[tuple[str, float]]) -> list[str]:
    """Titles of what the server recommends to somebody who took these, [item, days ago], oldest first."""
    answer = server(
        items=tf.constant([[item for item, _ in events]]),
        times=tf.constant([[int((1000 - days) * DAY) for _, days in events]], tf.int64),
        exclude=tf.constant([[""]]), among=tf.constant([], tf.string), k=tf.constant(10),
    )  # fmt: skip
    return [TITLES.get(item.decode(), item.decode()) for item in answer[RECOMMENDED].numpy()[0]]


def wait_for_status(page: Page, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in page.evaluate("document.querySelector('#status').textContent"):
        assert time.monotonic() < deadline, page.evaluate("document.body.innerText")
        time.sleep(0.05)


def shown(page: Page, element: str) -> list[str]:
    """The lines of a list, without their scores."""
    lines = f"[...document.querySelectorAll('#{element} li')].map(line => line.firstChild.data)"
    return [line.split("  ")[0] for line in page.evaluate(lines)]


def add(page: Page, item: str, days: float) -> None:
    """Types it in, key by key."""
    page.evaluate("document.querySelector('#status').textContent = ''")
    for field, text in (("item", item), ("days", str(days))):
        page.evaluate(f"document.querySelector('#{field}').select()")
        page.send("Input.insertText", text=text)
    page.evaluate("document.querySelector('#add button').click()")


@pytest.mark.skipif(not tfjs_converts(), reason="TF.js's converter has no Python here")
def test_a_page_recommends_from_a_history_that_is_typed_in(exported: tuple[Path, dict[str, Any]]) -> None:
    app, _ = exported
    server = tf.saved_model.load(str(app.parent / "model")).signatures["recommend"]
    examples = Path(__file__).parents[3] / "examples"
    serving = subprocess.Popen(
        [program("node", "nodejs"), examples / "tfjs" / "serve.mjs", app, "0", examples / "recommender"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = serving.stdout.readline().strip()  # type: ignore[union-attr]
        history = urllib.parse.quote(json.dumps([["tea 5", 9], ["tea 8", 2]]))
        with visit(program("chromium", "chromium"), f"{address}?history={history}") as page:
            wait_for_status(page, "10 of 300 items")
            wanted = best_of(server, [("tea 5", 9), ("tea 8", 2)])
            assert shown(page, "recommended") == wanted

            # By its title, which is text and no markup, and after the others although it is typed in last.
            add(page, "<b>tea 3</b>", 30)
            wait_for_status(page, "10 of 300 items")
            assert shown(page, "history")[2] == "<b>tea 3</b>, 30 days ago"
            later = best_of(server, [("tea 3", 30), ("tea 5", 9), ("tea 8", 2)])
            assert shown(page, "recommended") == later != wanted

            add(page, "coffee", 1)
            wait_for_status(page, "No item is called coffee.")
            assert len(shown(page, "history")) == 3
            page.evaluate("document.querySelectorAll('#history button')[2].click()")
            wait_for_status(page, "10 of 300 items")
            assert shown(page, "recommended") == wanted
            # TF.js notes that it could be asked at once; a model with a loop could not.
            assert all("You can use model.execute() instead" in problem for problem in page.problems)
            assert all(url.startswith((address, "data:")) for url in page.requests)
    finally:
        serving.kill()
        serving.communicate()
