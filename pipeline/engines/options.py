"""Which runners this pipeline has been run on, and which options Beam has; Beam itself is not imported.

Beam keeps an option that it does not know and says nothing, so that a slip of the pen shows minutes later, if at all.
"""

import ast
import difflib
import functools
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

from foundation.sections import require

DIRECT, FLINK, PORTABLE = "DirectRunner", "FlinkRunner", "PortableRunner"
RUNNERS = (DIRECT, FLINK, PORTABLE)

MOST = 40
"""Options of a profile; no engine has needed half as many."""

_REMOVED = {
    "SparkRunner": "a standalone Spark 3.5 reads the jar from the submitter's own disk and fails on Java 17",
    "DataflowRunner": "its workers see gs:// alone, and data, artifacts and ML Metadata are in directories here",
}

# What Flink's job server understands and Beam's Python does not declare, of what a batch job can use:
# https://beam.apache.org/documentation/runners/flink/#pipeline-options-for-the-flink-runner
_OF_FLINK = (
    "attached_mode", "auto_balance_write_files_sharding_enabled", "disable_metrics", "execution_mode_for_batch",
    "execution_retry_delay", "faster_copy", "file_input_split_max_size_m_b", "flink_conf_dir",
    "force_slot_sharing_group", "job_check_interval_in_secs", "max_bundle_size", "max_bundle_time_mills",
    "number_of_execution_retries", "object_reuse", "operator_chaining", "re_iterable_group_by_key_result",
)  # fmt: skip


def check_runner(runner: str) -> None:
    """Refuses a runner that this pipeline has not been run on to the end.

    Raises:
      ValueError: In one sentence that follows the section's name.
    """
    reason = _REMOVED.get(runner)
    require(
        reason is None,
        f"runner {runner} does not work with this pipeline ({reason}): use {FLINK}, see docs/engines.md.",
    )
    near = difflib.get_close_matches(runner, RUNNERS, n=1)
    fix = f"did you mean '{near[0]}'?" if near else f"it must be one of {', '.join(RUNNERS)}."
    require(runner in RUNNERS, f"runner is {runner[:100]!r}: {fix}")


def check_options(options: Sequence[str]) -> None:
    """Refuses what Beam would not understand, and what has a key of its own.

    Raises:
      ValueError: In one sentence that follows the section's name.
    """
    require(
        len(options) <= MOST, f"options has {len(options)} entries, and {MOST} are the most: remove some."
    )
    takes_value = False
    for text in options:
        if not text.startswith("--"):
            # The value of an option before it: ["--parallelism", "2"].
            require(takes_value, f"options has {text[:100]!r}, which must begin with two hyphens.")
            takes_value = False
            continue
        name, equals, _ = text[2:].partition("=")
        takes_value = not equals
        require(name not in _KEYS, f"options has --{name}: write {_KEYS.get(name)} instead.")
        near = difflib.get_close_matches(name, known_options(), n=1)
        fix = f"did you mean '--{near[0]}'?" if near else "remove it."
        require(name in known_options(), f"options has '--{name[:100]}', an option that Beam lacks: {fix}")


_KEYS = {
    "runner": "the key runner",
    "direct_running_mode": "the key direct_running_mode",
    "direct_num_workers": "the key direct_num_workers",
    "job_name": "nothing, as a run names its jobs itself,",
}


def value_of(options: Iterable[str], name: str) -> str:
    """The value of Beam's option `name`, without hyphens: the last one that is given, "" where none is."""
    found, given = "", list(options)
    for text, after in zip(given, [*given[1:], ""]):
        if text.startswith(f"--{name}="):
            found = text.partition("=")[2]
        elif text == f"--{name}":
            found = "" if after.startswith("--") else after
    return found


def has_flag(options: Iterable[str], name: str) -> bool:
    """Whether Beam's option `name`, which takes no value, is given."""
    return f"--{name}" in options


@functools.cache
def known_options() -> frozenset[str]:
    """The names of Beam's options, without hyphens, as its module of options declares them, and those of Flink's job server."""
    beam = importlib.util.find_spec("apache_beam")
    assert beam and beam.submodule_search_locations
    source = Path(beam.submodule_search_locations[0], "options", "pipeline_options.py").read_text()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    declared = {
        argument.value.removeprefix("--")
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in _DECLARE
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        if argument.value.startswith("--")
    }
    return frozenset({*declared, *_OF_FLINK})


_DECLARE = ("add_argument", "add_value_provider_argument")
