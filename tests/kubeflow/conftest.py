"""A cluster with volumes, a small table on it, and what a few runs of the pipeline left there.

Every step is a process that imports TFX, so runs are shared by all tests of the session.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import pytest

from pipeline import config
from pipeline.config import ROOT, Config
from pipeline.nodes import CLUSTER_NODES
from tests.kubeflow.emulator import Cluster, Installation, Run

LOOSE_GATES = (
    "gates.auc.min=0.3",
    "gates.auc.slice_min={trip_start_day=0.1}",
    "gates.binary_accuracy.min=0.1",
)


@dataclass(frozen=True)
class Site:
    """A cluster's volumes and the files that describe it."""

    directory: Path
    name: str = "taxi"
    """Of the dataset."""

    @property
    def dataset(self) -> Path:
        return self.directory / f"{self.name}.toml"

    @property
    def profile(self) -> Path:
        return self.directory / "test-cluster.toml"

    @property
    def data(self) -> Path:
        """What ExampleGen finds mounted."""
        return self.directory / "volumes" / "data" / self.name

    @property
    def serving(self) -> Path:
        """Where the Pusher puts versions."""
        return self.directory / "volumes" / "models" / self.name / "serving" / self.name

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.serving.glob("[0-9]*"))

    def put_spans(self, *days: int) -> None:
        """Adds a hundred rows of the table as the span of each of these days of January 2026."""
        header, *rows = (self.data / "first.csv").read_text().splitlines()
        for day in days:
            span = self.data.parent / "daily" / f"2026-01-{day:02}" / "trips.csv"
            span.parent.mkdir(parents=True)
            span.write_text("\n".join([header, *rows[100 * day : 100 * day + 100]]) + "\n")

    def write_profile(self) -> None:
        """Of a cluster that mounts the volumes."""
        volumes = self.directory / "volumes"
        self.profile.write_text(
            f"""extends = "{ROOT}/profiles/laptop.toml"
[kubeflow]
image = "registry.example.com/tfx-pipeline:test"
data_directory = "{volumes}/data"
models_directory = "{volumes}/models"
volumes = {{ data = "{volumes}/data", models = "{volumes}/models" }}
"""
        )

    def load(self, *overrides: str) -> Config:
        return config.load(str(self.dataset), str(self.profile), overrides)

    def compile(
        self, output: Path, *overrides: str, hash_seed: str = "0"
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubeflow_runner.py, from a directory that is not the repository."""
        command = [
            sys.executable, ROOT / "kubeflow_runner.py", "--dataset", self.dataset, "--profile", self.profile,
            "--output", output, *(part for text in overrides for part in ("--set", text)),
        ]  # fmt: skip
        environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": hash_seed, "HOME": str(self.directory)}
        return subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A quarter of the taxi table, a profile of a cluster that mounts it, and nothing pushed."""
    made = Site(tmp_path_factory.mktemp("site"))
    (package,) = util.find_spec("tfx").submodule_search_locations
    source = Path(package) / "examples/chicago_taxi_pipeline/data/simple/data.csv"
    header, *rows = source.read_text().splitlines()
    made.data.mkdir(parents=True)
    # The one row with a pickup_census_tract, which the schema asks for, is the last: the 15,002nd.
    (made.data / "first.csv").write_text("\n".join([header, *rows[1::4]]) + "\n")

    description = (ROOT / "datasets" / "taxi.toml").read_text()
    description = re.sub(r"(?m)^package = .*\n", "", description)
    description = re.sub(r"(?m)^path = .*$", f'path = "{made.data}"', description)
    made.dataset.write_text(description)
    shutil.copy(ROOT / "datasets" / "taxi.schema.pbtxt", made.directory)
    made.write_profile()
    return made


@pytest.fixture(scope="session")
def compiled(site: Site) -> Callable[..., Path]:
    """Compiles with overrides, each set of them once."""
    packages: dict[tuple[str, ...], Path] = {}

    def compile_with(*overrides: str) -> Path:
        if overrides not in packages:
            output = site.directory / f"pipeline-{len(packages)}.yaml"
            done = site.compile(output, *overrides)
            assert done.returncode == 0, done.stderr
            packages[overrides] = output
        return packages[overrides]

    return compile_with


GRAPH = (*config.load("taxi", "cluster").nodes, *CLUSTER_NODES)
WEAK = (*LOOSE_GATES, "training.epochs=1", "training.learning_rate=0.0001")
STRONG = (*LOOSE_GATES, "training.epochs=6")


@pytest.fixture(scope="session")
def cluster(site: Site) -> Cluster:
    """Kubeflow Pipelines as it is installed by default."""
    return Cluster(site.directory / "cluster", Installation())


@pytest.fixture(scope="session")
def first_run(site: Site, cluster: Cluster, compiled: Callable[..., Path]) -> Run:
    """The whole graph on an empty cluster, with a model that is barely trained."""
    run = cluster.run(compiled(*WEAK))
    assert len(site.versions()) == 1, run.logs["Pusher"][-3000:]
    return run


@pytest.fixture(scope="session")
def second_run(site: Site, cluster: Cluster, compiled: Callable[..., Path], first_run: Run) -> Run:
    """A better model, on a cluster of S3, without logs, before release 2.15."""
    cluster.installation = Installation("s3", publish_logs=False, output_file="legacy")
    return cluster.run(
        compiled(*STRONG),
        tasks=["Trainer", "BaselineModel", "Evaluator", "ServingCheck", "Pusher"],
        reuse=first_run,
    )


@pytest.fixture(scope="session")
def third_run(
    site: Site, cluster: Cluster, compiled: Callable[..., Path], second_run: Run, first_run: Run
) -> Run:
    """The first model again, judged against the second, on Google storage, in the shape to come."""
    cluster.installation = Installation("gs", without_metadata_store=True)
    return cluster.run(compiled(*WEAK), tasks=["BaselineModel", "Evaluator", "Pusher"], reuse=first_run)


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with KFP's newer SDK and Kubernetes' schemas: code that is not ours."""
    uv = ROOT / ".uv" / "bin" / "uv"
    if not uv.exists():
        pytest.skip(f"needs {uv}, which `make` installs")
    directory = tmp_path_factory.mktemp("sdk") / "environment"
    interpreter = directory / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    packages = ["kfp==2.16.1", "kfp-kubernetes==2.16.1", "kubernetes-validate==1.37.0"]
    for command in (
        ["venv", "--python", sys.executable, directory],
        ["pip", "install", "--python", interpreter, *packages],
    ):
        done = subprocess.run([uv, *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{packages} cannot be had: {done.stderr[-300:]}")
    return interpreter
