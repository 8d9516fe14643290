"""A recommender's clients against a server process: they get the model's list, and say in a sentence what went wrong."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from benchmarks import load_test
from components.serving_check.model_server import free_port
from tests.listener import Listener
from trainer_module.log import VOCABULARY, EventKinds, Log
from trainer_module.retrieval import export
from trainer_module.settings import LEARNER

from .test_recommender_app import DAY, ITEMS, LOG, NAMES, make_network

sys.path.insert(0, str(load_test.ROOT / "examples" / "clients"))
from recommender import Event, GrpcRecommender, RecommenderError, RestRecommender

CLIENTS = {"gRPC": GrpcRecommender, "REST": RestRecommender}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clients")
    vocabulary = directory / VOCABULARY
    vocabulary.write_text("".join(name.replace("\\", "\\\\") + "\n" for name in NAMES))
    archive = export._archive(make_network("average"), LOG, str(vocabulary), ITEMS)
    asked = {"recommend": archive.endpoints["recommend"]}
    tf.saved_model.save(archive, str(directory / "model"), signatures=asked)
    write_learner(directory / "model", LOG)
    return directory / "model"


def write_learner(model: Path, log: Log) -> None:
    """What a pushed version says of its making."""
    tables = {"model": {"kind": "two_tower"}, "label": {"task": "retrieval"}, "log": log.to_table()}
    (model / LEARNER).parent.mkdir()
    (model / LEARNER).write_text(json.dumps({"settings": tables}))


@pytest.fixture(scope="module")
def addresses(model: Path) -> Iterator[dict[str, str]]:
    with load_test.serve(model) as (host, grpc_port, rest_port):
        yield {"gRPC": f"{host}:{grpc_port}", "REST": f"http://{host}:{rest_port}"}


def test_kinds_are_sent_in_the_order_of_the_events_by_who_says_that_the_model_is_told_them() -> None:
    sent: list[Any] = []

    class Offline(RestRecommender):
        def _ask(self, inputs: Any) -> Any:
            sent.append(inputs)
            return {"items": [], "scores": []}

    histories = [[Event("b", 2, "buy"), Event("a", 1, "view"), Event("c", 3)], []]
    for kinds in (True, False):
        Offline("nowhere", "shop", kinds=kinds).recommend(histories)
    assert sent[0]["kinds"] == [["view", "buy", ""], ["", "", ""]] and "kinds" not in sent[1]
    Offline("nowhere", "shop").recommend(histories, context={"store": ("31", "")})
    assert sent[2]["store"] == ["31", ""] and "store" not in sent[1]
    with pytest.raises(ValueError, match="context 'store' is of 1 users and histories of 2"):
        Offline("nowhere", "shop").recommend(histories, context={"store": ["31"]})


@pytest.mark.parametrize("protocol", CLIENTS)
def test_a_client_gets_the_list_that_the_model_gives(
    protocol: str, addresses: dict[str, str], model: Path
) -> None:
    client = CLIENTS[protocol](addresses[protocol], load_test._NAME, timeout=30)
    # In whatever order; the second user is new, and is recommended what users in general take.
    histories = [[Event("tea 7", 5 * DAY), Event("tea 1", 0), Event("unheard of", DAY)], []]
    exclude, among = [["tea 3", "tea 5"], []], [*NAMES[:20], "back\\slash", "never heard of"]
    answer = client.recommend(histories, k=30, exclude=exclude, among=among)
    expected = tf.saved_model.load(str(model)).signatures["recommend"](
        items=tf.constant([["tea 1", "unheard of", "tea 7"], ["", "", ""]]),
        times=tf.constant([[0, DAY, 5 * DAY], [0, 0, 0]], tf.int64),
        exclude=tf.constant([["tea 3", "tea 5"], ["", ""]]), among=tf.constant(among), k=tf.constant(30),
    )  # fmt: skip
    items = [[item.decode() for item in row if item] for row in expected["items"].numpy().tolist()]
    assert [[each.item for each in row] for row in answer] == items and [*map(len, items)] == [19, 21]
    for row, scores in zip(answer, expected["scores"].numpy().tolist()):
        assert [each.score for each in row] == pytest.approx(scores[: len(row)], rel=1e-5, abs=1e-5)
    assert len(client.recommend(histories[:1])[0]) == 10 and client.recommend([]) == []
    with pytest.raises(ValueError, match="exclude is of 1 users and histories of 2"):
        client.recommend(histories, exclude=[["tea 1"]])


@pytest.mark.parametrize("protocol", CLIENTS)
def test_what_goes_wrong_is_one_sentence(protocol: str, addresses: dict[str, str]) -> None:
    strange = CLIENTS[protocol](addresses[protocol], "another", timeout=30)
    with pytest.raises(RecommenderError, match="refused the request") as refused:
        strange.recommend([[]])
    assert "404" in str(refused.value) or "NOT_FOUND" in str(refused.value)
    nobody = f"{'http://' if protocol == 'REST' else ''}127.0.0.1:{free_port()}"
    with pytest.raises(RecommenderError, match="cannot be reached"):
        CLIENTS[protocol](nobody, "shop", timeout=5).recommend([[]])


def test_a_server_that_does_not_answer_in_time_is_given_up() -> None:
    server = Listener()
    server.delay = 20.0
    address = server.url.rpartition("/T000")[0]
    try:
        with pytest.raises(RecommenderError, match=r"did not answer within 0\.2 s"):
            RestRecommender(address, "shop", timeout=0.2).recommend([[]])
    finally:
        server.close()


def test_a_load_test_counts_what_is_answered_and_what_is_not(
    addresses: dict[str, str], model: Path, capsys: Any
) -> None:
    histories = load_test.make_histories(model, events=5)
    assert len(histories) == 200 and {len(history) for history in histories} == {5}
    client = RestRecommender(addresses["REST"], load_test._NAME, timeout=30)
    took, failures = load_test.load(client, histories, threads=3, seconds=0.5)
    assert len(took) >= 3 and not failures
    line = load_test.describe("REST", 3, [0.001] * 98 + [0.1] * 2, ["gone"], 0.5)
    assert line == "REST with  3 thread(s):  200.0 requests/s, p50    1.0 ms, p99  100.0 ms, 1 failed: gone"


def test_a_load_test_tells_a_model_the_kinds_that_it_requires(model: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    (told / "assets").mkdir(parents=True)
    (told / "assets" / VOCABULARY).write_text("tea 1\ntea 2\n")
    write_learner(told, Log("u", "i", "t", events=EventKinds("event", {"view": 1.0, "buy": 3.0}, (), True)))
    histories = load_test.make_histories(told, events=5)
    assert load_test.told_kinds(told) == ("buy", "view")
    assert {event.kind for history in histories for event in history} == {"buy", "view"}
    assert load_test.told_kinds(model) == () and load_test.columns_of(model) == ()
    assert {event.kind for history in load_test.make_histories(model, events=5) for event in history} == {""}
