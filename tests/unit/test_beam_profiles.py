"""The Beam options of every profile are options that Beam has, for the runner that the profile names."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import config

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
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def objections() -> dict[str, list[str]]:
    """What Beam's own parser says, by profile; in a process: unit tests import no Beam."""
    names = sorted(path.stem for path in (config.ROOT / "profiles").glob("*.toml"))
    arguments = {name: config.load("taxi", name).beam.arguments() for name in names}
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
    shipped = {name: found for name, found in objections.items() if name != "misspelt"}
    assert shipped == {name: [] for name in shipped}


def test_an_option_that_beam_lacks_is_noticed(objections: dict[str, list[str]]) -> None:
    assert objections["misspelt"] == ["unknown option --flink_masters=x"]


@pytest.mark.parametrize(
    ("profile", "runner"),
    [("flink", "FlinkRunner"), ("spark", "SparkRunner"), ("dataflow", "DataflowRunner")],
)
def test_nothing_but_beam_differs_from_the_laptop(profile: str, runner: str) -> None:
    assert config.load("taxi", profile).beam.runner == runner
    lines = Path(config.ROOT / "profiles" / f"{profile}.toml").read_text().splitlines()
    assert [line for line in lines if line.startswith(("[", "extends"))] == ['extends = "laptop"', "[beam]"]
