"""The Beam options of every profile are options that Beam has, for the runner that the profile names."""

import json
import subprocess
import sys

import pytest

from pipeline import config
from pipeline.engines.options import _OF_FLINK, known_options

# `PipelineOptions` alone keeps what it does not know, and takes abbreviations: its parser tells.
CODE = """
import argparse, json, sys
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner
parser = argparse.ArgumentParser(allow_abbrev=False)
for kind in PipelineOptions.__subclasses__():
    kind._add_argparse_args(parser)
found = {}
for name, arguments in json.loads(sys.argv[1]).items():
    options = PipelineOptions(arguments)
    create_runner(options.view_as(StandardOptions).runner)
    found[name] = [f"unknown option {text}" for text in parser.parse_known_args(arguments)[1]]
found["declared"] = [name[2:] for name in parser._option_string_actions if name.startswith("--")]
print(json.dumps(found))
"""
PROFILES = sorted(path.stem for path in (config.ROOT / "profiles").glob("*.toml"))


@pytest.fixture(scope="module")
def objections() -> dict[str, list[str]]:
    """What Beam's own parser says, by profile; in a process: unit tests import no Beam."""
    arguments = {name: config.load("taxi", name).beam.arguments() for name in PROFILES}
    arguments["misspelt"] = [*arguments["flink"], "--flink_masters=x"]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_beam_knows_every_option_of_every_profile(objections: dict[str, list[str]]) -> None:
    shipped = {name: objections[name] for name in PROFILES}
    assert "flink" in shipped and shipped == {name: [] for name in PROFILES}


def test_an_option_that_beam_lacks_is_noticed(objections: dict[str, list[str]]) -> None:
    assert objections["misspelt"] == ["unknown option --flink_masters=x"]


def test_the_options_that_are_read_without_beam_are_those_that_its_parser_has(
    objections: dict[str, list[str]],
) -> None:
    declared = set(objections["declared"]) - {"help"}
    assert declared <= known_options()
    # Besides those of Flink's job server, what Beam declares for itself alone and keeps from its parser.
    assert len(known_options() - declared - set(_OF_FLINK)) < 20


def test_nothing_but_beam_differs_from_the_laptop() -> None:
    assert config.load("taxi", "flink").beam.runner == "FlinkRunner"
    lines = (config.ROOT / "profiles" / "flink.toml").read_text().splitlines()
    assert [line for line in lines if line.startswith(("[", "extends"))] == ['extends = "laptop"', "[beam]"]
