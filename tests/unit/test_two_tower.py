"""The two towers' settings: what is refused, in which words."""

import pytest

from foundation.sections import ConfigurationError, read_section
from trainer_module.models.two_tower import TwoTower


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dimensions": 30, "heads": 4}, "dimensions is 30; it must be a multiple of heads, which is 4"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be in"),
        ({"memory_days": []}, "give at least one number of days, each above 0"),
        ({"memory_days": [0.0]}, "give at least one number of days, each above 0"),
        ({"basket_exponent": 2.0}, "from 0 \\(every event\\) to 1 \\(every basket\\)"),
        ({"negatives": -1}, "negatives is -1; it must be 0 \\(none\\) or more"),
        ({"uniform_negatives": -1}, "uniform_negatives is -1; it must be 0 \\(none\\) or more"),
        ({"blocks": 0}, "blocks is 0; it must be at least 1"),
        ({"encoder": "lstm"}, "lstm"),
        ({"index": "scann"}, "index is 'scann'; it must be one of 'auto', 'exact', 'inverted_file'"),
        ({"probes": -1}, "probes is -1; it must be 0 \\(as fits the catalogue\\) or more"),
        ({"index": "exact", "cells": 9}, "cells is 9, but index = 'exact' has no cells: remove one"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_section(TwoTower, given, "[model]")
