"""A cluster with volumes, a small table on it, and what a few runs of the pipeline left there.

Every step is a process that imports TFX, so runs are shared by all tests of the session.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

import pytest

import kubeflow_runner
from pipeline import config
from pipeline.config import ROOT
from pipeline.kubeflow import compile
from pipeline.nodes import CLUSTER_NODES
from tests.kubeflow.emulator import Cluster, Installation, Run
from tests.kubeflow.object_store import Credentials, Store
from tests.kubeflow.object_store import serving as serving_s3
from tests.kubeflow.rest_server import Api, serving
from tests.kubeflow.site import Site

LOOSE_GATES = (
    "gates.auc.min=0.3",
    "gates.auc.slice_min={trip_start_day=0.1}",
    "gates.binary_accuracy.min=0.1",
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
FULL = (
    "tuning.space.training.learning_rate={min=0.0001,max=0.1,scale='log'}",
    "kubeflow.image_pull_secrets=['registry']",
    "kubeflow.version='2.16'",
    "steps.default.memory='3Gi'",
    "steps.Trainer.image='registry.example.com/tfx-pipeline:gpu'",
    "steps.Trainer.cpu='500m'",
    "steps.Trainer.gpus=2",
    "steps.Trainer.retries=3",
    "steps.Trainer.shared_memory='2Gi'",
    "steps.Trainer.node_selector={pool='gpu'}",
    "steps.Trainer.tolerations=[{key='gpu',operator='Equal',value='yes',effect='NoSchedule'}]",
    "steps.Trainer.secrets={store={key='STORE_KEY'}}",
    "steps.Trainer.environment={NCCL_DEBUG='INFO',PRICE='$(HOME) $$(HOME) $5 $'}",
    "steps.Trainer.run_as_user=1000",
    "steps.Pusher.volumes={extra='/mnt/extra'}",
    "steps.Pusher.retries=0",
)
"""Whatever a profile can say of a pod."""


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Credentials]]:
    """Address and credentials of an S3 server of the session's own."""
    with serving_s3(tmp_path_factory.mktemp("s3") / "server") as served:
        yield served


@pytest.fixture(scope="session")
def store(object_store: tuple[str, Credentials], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The buckets of all three schemes."""
    made = Store(*object_store, tmp_path_factory.mktemp("looked-at"))
    for scheme in ("minio", "s3", "gs"):
        made.create_bucket(scheme, "mlpipeline")
    return made


@pytest.fixture(scope="session")
def cluster(site: Site, store: Store) -> Cluster:
    """Kubeflow Pipelines as it is installed by default."""
    return Cluster(site.directory / "pods", store)


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
    package = compiled(*WEAK, "app.formats=['dynamic']")
    tasks = ["BaselineModel", "Evaluator", "Pusher", "AppExporter"]
    return cluster.run(package, tasks=tasks, reuse=first_run)


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with KFP's newer SDK and Kubernetes' schemas: code that is not ours."""
    uv = ROOT / ".uv" / "bin" / "uv"
    if not uv.exists():
        pytest.skip(f"needs {uv}, which `make` installs")
    directory = tmp_path_factory.mktemp("sdk") / "environment"
    interpreter = directory / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    packages = ["kfp==2.16.1", "kfp-kubernetes==2.16.1"]
    for command in (
        ["venv", "--python", sys.executable, directory],
        ["pip", "install", "--python", interpreter, *packages],
    ):
        done = subprocess.run([uv, *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{packages} cannot be had: {done.stderr[-300:]}")
    return interpreter


PACKAGE = """# PIPELINE DEFINITION
pipelineInfo: {name: taxi}
schemaVersion: 2.1.0
root:
  inputDefinitions:
    parameters:
      data_directory: {parameterType: STRING}
      model_version: {parameterType: STRING}
---
platforms: {kubernetes: {deploymentSpec: {executors: {}}}}
"""
"""What the submission tests send instead of the compiled pipeline."""
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def api() -> Iterator[Api]:
    """A Kubeflow Pipelines API server that knows nothing yet."""
    with serving() as running:
        yield running


@pytest.fixture
def command(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs kubeflow_runner.py in this process; compiling is another test's business."""
    monkeypatch.setattr(compile, "compile_pipeline", lambda loaded, scores: PACKAGE)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*flags: str, host: str = api.url) -> tuple[int, str]:
        status = kubeflow_runner.main(["--output", str(tmp_path / "pipeline.yaml"), "--host", host, *flags])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run
