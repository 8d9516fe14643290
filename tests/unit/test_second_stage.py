"""A second stage's settings, and how its candidates are measured."""

import numpy as np
import pytest

from components.app_exporter.shipped_code import check_exportable
from components.evaluator.ranking.second_stage import measure_candidates, measure_objectives
from foundation.sections import ConfigurationError, read_section
from pipeline import config
from trainer_module.models.two_tower import TwoTower
from trainer_module.settings import Settings

LEAST = np.finfo(np.float32).min


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"candidates": 1}, "candidates is 1; it must be 0 \\(no second stage\\) or from 2 to 10,000"),
        ({"hidden": [0]}, "hidden is \\[0\\]; it must be a list of layers of 1 to 10,000 units"),
        ({"networks": 0}, "networks is 0; it must be from 1 to 100"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be in"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        ({"objectives": {"buy": 0}}, "objectives gives 'buy' 0.0; it must be above 0"),
        ({"negatives": 0}, "negatives is 0; it must be at least 1"),
        ({"candidate": 100}, "no key 'candidate': did you mean 'candidates'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_section(TwoTower, {"second_stage": given}, "[model]")


def test_there_is_none_unless_it_is_asked_for_and_its_settings_travel_as_json() -> None:
    plain = config.load("shop", "laptop", ["model.second_stage.candidates=0"]).settings
    assert TwoTower().second_stage is None and plain.model == TwoTower()
    asked = config.load("shop", "laptop", ["model.second_stage.hidden=[16]"]).settings
    assert isinstance(asked.model, TwoTower) and asked.model.second_stage
    assert asked.model.second_stage.hidden == (16,) and asked.model.second_stage.candidates == 200
    assert Settings.from_json(asked.to_json()) == asked


def settings_of(*lines: str) -> Settings:
    kinds = (
        'log.events={column = "kind", weights = {view = 0.2, cart = 1, buy = 3}, target = ["buy", "cart"]}'
    )
    return config.load("shop", "laptop", [kinds, *lines]).settings


def test_objectives_are_kinds_of_events_and_those_that_are_judged_may_be_gated() -> None:
    objectives = "model.second_stage.objectives={view = 0.1, buy = 1}"
    model = settings_of(objectives).model
    assert isinstance(model, TwoTower) and model.second_stage
    assert model.second_stage.kinds == ("buy", "view")
    assert model.second_stage.shares == pytest.approx((1 / 1.1, 0.1 / 1.1))
    settings_of(objectives, "gates.buy_user_auc.min=0.6", "gates.auc.min=0.6")
    with pytest.raises(ConfigurationError, match="view_auc"):
        settings_of(objectives, "gates.view_auc.min=0.6")
    with pytest.raises(ConfigurationError, match="asks for what no model has"):
        settings_of(objectives, "gates.buy_auc.min=1.6")
    with pytest.raises(
        ConfigurationError, match=r"objectives names 'share', and .* has 'buy', 'cart', 'view'"
    ):
        settings_of("model.second_stage.objectives={share = 1}")
    with pytest.raises(ConfigurationError, match=r"objectives names 'buy', and .* has no kinds"):
        config.load("shop", "laptop", ["model.second_stage.objectives={buy = 1}"])
    with pytest.raises(ConfigurationError, match="user_auc"):
        config.load("shop", "laptop", ["model.second_stage.candidates=0", "gates.user_auc.min=0.6"])


def test_each_objective_is_measured_under_its_name_of_all_users_together() -> None:
    first = {"": (np.array([[3.0, 1.0]]), np.array([[True, False]])), "buy": (np.array([[1.0, 3.0]]), np.array([[True, False]]))}  # fmt: skip
    second = {"": (np.array([[3.0, 4.0]]), np.array([[True, False]])), "buy": (np.array([[2.0, 1.0]]), np.array([[False, False]]))}  # fmt: skip
    found = measure_objectives([first, second])
    assert found["user_auc"] == 0.5 and found["buy_user_auc"] == 0.0
    assert found["buy_auc"] == pytest.approx(1 / 6)
    assert measure_objectives([]) == {}


def test_apps_are_refused_before_anything_is_trained() -> None:
    asked = config.load("shop", "laptop").settings
    check_exportable(asked, [])
    with pytest.raises(ConfigurationError, match="set its candidates to 0, or \\[app\\] formats"):
        check_exportable(asked, ["tflite"])
    plain = "model.second_stage.candidates=0"
    check_exportable(config.load("shop", "laptop", [plain]).settings, ["tflite"])
    told = 'log.events={column = "kind", weights = {buy = 3}, in_requests = true}'
    with pytest.raises(
        ConfigurationError, match=r"\[log.events\] in_requests tells the model them: set it to false"
    ):
        check_exportable(config.load("shop", "laptop", [plain, told]).settings, ["tflite"])


def test_areas_are_of_pairs_of_a_candidate_that_was_taken_and_one_that_was_not() -> None:
    scores = np.array([[3.0, 2.0, 1.0, LEAST], [0.5, 0.5, -1.0, 0.0], [1.0, 2.0, 3.0, 4.0]], np.float32)
    taken = np.array([[True, False, True, False], [True, False, False, False], [False] * 4])
    # The first user: one of two pairs in order. The second: two, and a tie. The third took none of them.
    found = measure_candidates(scores, taken)
    assert found["user_auc"] == pytest.approx((1 / 2 + 2.5 / 3) / 2)
    yes, no = [3.0, 1.0, 0.5], [2.0, 0.5, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    pairs = [(a > b) + 0.5 * (a == b) for a in yes for b in no]
    assert found["auc"] == pytest.approx(np.mean(pairs))
    assert measure_candidates(scores[2:], taken[2:]) == {}
