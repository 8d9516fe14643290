"""The whole graph with its Beam pipelines in another process: Beam's job service, and workers of this project's own pool.

It is the protocol that Flink speaks: pickling, environments, artifacts, workers that import the project by themselves.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.evaluator.verdict import read_verdict
from tests import job_service

from .conftest import Project, Run

REMOTE, LOCAL = "remote", "local"


@pytest.fixture(scope="module")
def beam(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The settings of a run whose Beam pipelines are the job service's; it starts with nothing of the project."""
    with job_service.serving(tmp_path_factory.mktemp("engine"), project.root) as (options, log):
        yield f"beam.options={options}"
    # ExampleGen, StatisticsGen, Evaluator, and Transform's two: what it analyzes, and what it writes.
    assert log.read_text().count("with state DONE") == 5, log.read_text()


@pytest.fixture(scope="module")
def remote(project: Project, beam: str) -> Run:
    """A whole run."""
    done = project.run("small", "--workdir", REMOTE, "--set", "beam.runner=PortableRunner", "--set", beam)
    assert done.status == 0 and "pushed model" in done.output, done.output + done.error
    return done


@pytest.fixture(scope="module")
def local(project: Project, remote: Run) -> Project:
    """The same steps here, for comparison; and the same models judged here again."""
    commands = [
        ["--dataset", "small", "--workdir", LOCAL, "--to", "Transform"],
        ["--dataset", "small", "--workdir", REMOTE, "--no-cache", "--from", "Evaluator", "--to", "Evaluator"],
    ]
    # In one process, as most of a short run is what it imports.
    code = f"import sys, local_runner; sys.exit(any([local_runner.main(each) for each in {commands}]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def newest(project: Project, workdir: str, output: str, back: int = 0) -> Path:
    found = [
        path
        for path in (project.root / workdir / "small/artifacts").glob(f"{output}/*")
        if path.name.isdecimal()
    ]
    return sorted(found, key=lambda path: int(path.name))[-1 - back]


def records(directory: Path, split: str) -> list[bytes]:
    files = list(map(str, directory.glob(f"Split-{split}/*.gz")))
    return sorted(each.numpy() for each in tf.data.TFRecordDataset(files, "GZIP"))


@pytest.mark.parametrize("split", ["train", "eval"])
def test_examples_are_the_local_runs_but_for_their_order(local: Project, split: str) -> None:
    here, there = (
        records(newest(local, workdir, "ExampleGen/examples"), split) for workdir in (LOCAL, REMOTE)
    )
    assert len(here) > 1000 and here == there


@pytest.mark.parametrize("split", ["train", "eval"])
def test_transformed_examples_are_the_local_runs_but_for_their_order(local: Project, split: str) -> None:
    """Means are sums of other partial sums: the last bits differ, so that columns are compared, each in its own order."""
    here, there = (
        columns(newest(local, workdir, "Transform/transformed_examples"), split)
        for workdir in (LOCAL, REMOTE)
    )
    assert set(here) == set(there) == {"numeric", "categorical", "label"}
    for name in here:
        np.testing.assert_allclose(here[name], there[name], rtol=1e-4, atol=1e-5)


def columns(directory: Path, split: str) -> dict[str, np.ndarray[Any, Any]]:
    found: dict[str, list[Any]] = {}
    for record in records(directory, split):
        for name, feature in tf.train.Example.FromString(record).features.feature.items():
            found.setdefault(name, []).append(feature.float_list.value or feature.int64_list.value)
    return {name: np.sort(np.array(values, float), axis=0) for name, values in found.items()}


def test_statistics_are_the_local_runs(local: Project) -> None:
    def read(workdir: str) -> list[Any]:
        (file,) = newest(local, workdir, "StatisticsGen/statistics").glob("Split-train/*.pb")
        (dataset,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes()).datasets
        features = sorted(dataset.features, key=lambda feature: feature.path.step[0])
        return [
            (each.path.step[0], each.num_stats.mean, each.num_stats.std_dev, each.num_stats.min, each.num_stats.max,
             each.num_stats.common_stats.num_non_missing, each.string_stats.unique, each.string_stats.common_stats.num_missing)
            for each in features
        ]  # fmt: skip

    here, there = read(LOCAL), read(REMOTE)
    assert len(here) > 10 and [each[0] for each in here] == [each[0] for each in there]
    for ours, theirs in zip(here, there):
        assert ours[1:] == pytest.approx(theirs[1:])


def test_the_schema_and_the_vocabularies_are_the_local_runs(local: Project) -> None:
    def read(workdir: str) -> tuple[Any, dict[str, list[str]]]:
        graph = newest(local, workdir, "Transform/transform_graph")
        schema = text_format.Parse(
            (graph / "transformed_metadata/schema.pbtxt").read_text(), schema_pb2.Schema()
        )
        assets = (graph / "transform_fn/assets").iterdir()
        return schema, {path.name: path.read_text().splitlines() for path in assets}

    here, there = read(LOCAL), read(REMOTE)
    assert here == there and {"company", "payment_type"} <= set(here[1])


def test_the_verdict_on_the_same_models_is_the_local_runs(local: Project, remote: Run) -> None:
    here, there = (
        read_verdict(newest(local, REMOTE, "Evaluator/blessing", back)).whole.metrics for back in (0, 1)
    )
    assert here == pytest.approx(there) and len(here) > 5
