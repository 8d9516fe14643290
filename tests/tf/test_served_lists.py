"""The serving check of a recommender: what an app would answer is what the server answers, and where it is not it is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.serving_check.recommendations import (
    check_recommendations,
    make_log_replays,
    read_catalogue,
)
from tests.tf.test_retrieval import DAY, ITEMS, NAMES, make_network
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, VOCABULARY
from trainer_module.retrieval import export
from trainer_module.retrieval.signatures import APP, ITEM_NUMBERS, RECOMMEND, SCORES

ROWS: list[Any] = [
    {ITEM: [b"i1", b"unheard of", b"i2", b"i1", b"i9"], TIME: [0, 1, DAY, 5 * DAY, 9 * DAY], BASKET: [0, 1, 2, 3, 4],
     FIRST_TARGET: [4]},
    {ITEM: [b"i7"], TIME: [DAY], BASKET: [0], FIRST_TARGET: [0]},
]  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any], list[str], dict[str, Any]]:
    """Requests, their answers, the catalogue, and the endpoints as if they were signatures."""
    model = tmp_path_factory.mktemp("model")
    (model / "assets").mkdir()
    written = [f"i{number}" for number in range(ITEMS - 2)] + [r"back\\slash", r"two\nlines"]
    vocabulary = model / "assets" / VOCABULARY
    vocabulary.write_text("".join(f"{name}\n" for name in written))
    network = make_network()
    # The target of the first user.
    network.items.available = np.arange(ITEMS) != 9
    endpoints = dict(export._archive(network, network._log, str(vocabulary), ITEMS).endpoints)
    catalogue = read_catalogue(Path(model), endpoints)
    replays = make_log_replays("model", ROWS, network._log, 2, catalogue)
    answers = []
    for replay in replays:
        given = {
            name: tf.constant(tf.make_ndarray(each), tf.dtypes.as_dtype(each.dtype))
            for name, each in replay.request.inputs.items()
        }
        call = endpoints[replay.signature]
        answer = call(*given.values()) if set(given) in ({"examples"}, {"items"}) else call(given)
        answers.append({name: value.numpy() for name, value in answer.items()})
    return replays, answers, catalogue, endpoints


def check(replays: list[Any], answers: list[Any], catalogue: list[str]) -> list[str]:
    class Promised:
        outputs: tuple[str, ...] = ()

    signatures: Any = dict.fromkeys((replay.signature for replay in replays), Promised())
    return check_recommendations(replays, answers, signatures, catalogue)


def test_an_app_answers_as_the_server_does_to_each_kind_of_history(asked: Any) -> None:
    replays, answers, catalogue, endpoints = asked
    assert [name.encode() for name in catalogue] == NAMES and APP in endpoints
    cases = [replay.case for replay in replays if replay.signature == APP]
    assert {"no history", "unseen items", "a long history"} < set(cases)
    assert check(replays, answers, catalogue) == []


def test_a_user_who_took_only_what_is_not_available_has_no_measure_and_the_model_is_no_worse_for_it(
    asked: Any,
) -> None:
    """Such a row's recall is no number by design; a score that is none is refused all the same."""
    replays, answers, catalogue, _ = asked
    assert any(np.isnan(answer["ndcg_10"]).any() for answer in answers if "ndcg_10" in answer)
    changed = [
        {**answer, SCORES: answer[SCORES] * np.nan} if SCORES in answer else answer for answer in answers
    ]
    assert all("answers NaN or infinity in 'scores'" in each for each in check(replays, changed, catalogue))


def test_an_app_that_answers_another_list_is_refused_with_the_history_that_it_was_asked(asked: Any) -> None:
    replays, answers, catalogue, _ = asked
    changed = list(answers)
    place = next(
        place for place, each in enumerate(replays) if (each.signature, each.case) == (APP, "a long history")
    )
    changed[place] = {**answers[place], ITEM_NUMBERS: np.roll(answers[place][ITEM_NUMBERS], 1)}
    (sentence,) = check(replays, changed, catalogue)
    assert (
        sentence == f"{APP}, of which apps are made, and {RECOMMEND} answer different lists (a long history)."
    )


def test_a_model_of_which_no_app_is_made_is_not_asked_for_one(asked: Any) -> None:
    _, _, _, endpoints = asked
    others = {name: each for name, each in endpoints.items() if name != APP}
    assert read_catalogue(Path("nowhere"), others) == []
    replays = make_log_replays("model", ROWS, make_network()._log, 2)
    assert APP not in {replay.signature for replay in replays}
