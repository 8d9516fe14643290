"""What a person reads of a run that failed."""

import pytest

from components.example_gen.source_format import ConversionError
from foundation.sections import ConfigurationError, UserError
from pipeline.running.failure import explain
from trainer_module.distribution.cluster import WorkersMissing
from trainer_module.distribution.launcher import WorkerError


def raised(error: BaseException) -> BaseException:
    """`error` as Beam or TFX hand it on: something else went wrong because of it."""
    try:
        try:
            raise error
        except BaseException as inner:
            raise RuntimeError("a stage of the pipeline failed\nwith a long trace") from inner
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize("kind", [ConfigurationError, ConversionError, WorkerError, WorkersMissing])
def test_what_was_written_for_the_user_is_shown_whole_however_deep_it_lies(kind: type[UserError]) -> None:
    assert explain(raised(kind("trips.csv, line 3: add a cell.\nThe line is: 1,2"))) == (
        "trips.csv, line 3: add a cell.\nThe line is: 1,2"
    )


def test_of_any_other_error_the_type_and_the_message_are_shown_with_what_caused_it() -> None:
    assert explain(raised(KeyError("x"))) == (
        "RuntimeError: a stage of the pipeline failed with a long trace (because of KeyError: 'x')"
    )
    assert explain(ValueError("")) == "ValueError: no message"


def test_a_message_of_many_lines_keeps_more_than_the_first_and_less_than_a_screen() -> None:
    shown = explain(ValueError("fails to update with inputs:\n" + "[359257.]\n" * 1000))
    assert shown.startswith("ValueError: fails to update with inputs: [359257.] ") and shown.endswith(" …")
    assert len(shown) < 330 and "\n" not in shown


def test_an_interruption_says_that_nothing_is_lost() -> None:
    assert "the next run starts where this one stopped" in explain(KeyboardInterrupt())
