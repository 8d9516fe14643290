"""The Beam options of every profile are options that Beam has, for the runner that the profile names."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import config

PROFILES = sorted(path.stem for path in (config.ROOT / "profiles").glob("*.toml"))


def parse(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Beam's own parser, in a process of its own: unit tests import no Beam.

    `PipelineOptions` alone keeps what it does not know; its parser, asked for the rest, tells. An
    abbreviation must not pass for an option either.
    """
    code = """
import argparse, sys
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner
options = PipelineOptions(sys.argv[1:])
parser = argparse.ArgumentParser(allow_abbrev=False)
for kind in PipelineOptions.__subclasses__():
    kind._add_argparse_args(parser)
unknown = parser.parse_known_args(sys.argv[1:])[1]
runner = create_runner(options.view_as(StandardOptions).runner)
errors = PipelineOptionsValidator(options, runner).validate()
sys.exit("; ".join([*(f"unknown option {text}" for text in unknown), *errors]))
"""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_beam_knows_every_option_of_the_profile(profile: str) -> None:
    result = parse(*config.load("taxi", profile).beam.arguments())
    assert result.returncode == 0, result.stderr


def test_an_option_that_beam_lacks_is_noticed() -> None:
    result = parse(*config.load("taxi", "flink").beam.arguments(), "--flink_masters=x")
    assert "unknown option --flink_masters=x" in result.stderr


def test_the_profiles_name_the_runners_that_their_names_promise() -> None:
    runners = {name: config.load("taxi", name).beam.runner for name in ("flink", "spark", "dataflow")}
    assert runners == {"flink": "FlinkRunner", "spark": "SparkRunner", "dataflow": "DataflowRunner"}


def test_nothing_but_beam_differs_from_the_laptop() -> None:
    for name in ("flink", "spark", "dataflow"):
        lines = Path(config.ROOT / "profiles" / f"{name}.toml").read_text().splitlines()
        assert [line for line in lines if line.startswith(("[", "extends"))] == [
            'extends = "laptop"',
            "[beam]",
        ]
