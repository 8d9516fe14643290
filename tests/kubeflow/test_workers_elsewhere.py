"""Steps whose Beam pipelines run in workers that do not see the steps' pods: artifacts pass over a shared volume."""

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.config import ROOT
from pipeline.kubeflow import sharing
from pipeline.kubeflow.documents import Document, executor_label
from tests import job_service
from tests.kubeflow.emulator import Cluster, StepFailed
from tests.kubeflow.object_store import Store
from tests.kubeflow.site import Site

STEPS = ["ExampleGen", "StatisticsGen"]


@dataclass(frozen=True)
class Engine:
    """Beam's job service and a pool of this project's workers, both in processes of their own."""

    options: list[str]
    log: Path

    def overrides(self, shared: Path, volume: Path) -> tuple[str, ...]:
        return (
            "beam.runner=PortableRunner",
            f"beam.options={self.options}",
            f"kubeflow.shared_directory={shared}",
            f"kubeflow.volumes.shared={volume}",
        )


@pytest.fixture(scope="module")
def pods(site: Site) -> Path:
    """What stands for the disks of all pods."""
    directory = site.directory / "pods-beside-workers"
    directory.mkdir()
    return directory


def hiding(directory: Path) -> list[str]:
    """What a command is run with so that it finds nothing in `directory`; nothing where the machine does not let us."""
    script = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(directory)]
    # As root, and otherwise as root of a namespace.
    for flags in (["--mount"], ["--mount", "--map-root-user"]):
        prefix = ["unshare", *flags, *script]
        if (
            shutil.which("unshare")
            and not subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
        ):
            return prefix
    return []


@pytest.fixture(scope="module")
def engine(pods: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    scratch = tmp_path_factory.mktemp("engine")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with job_service.serving(scratch, scratch, environment, hiding(pods)) as (options, log):
        yield Engine(options, log)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def package(site: Site, engine: Engine, volume: Path) -> Path:
    output = site.directory / "elsewhere.yaml"
    done = site.compile(output, *engine.overrides(volume / "beam", volume))
    assert done.returncode == 0, done.stderr
    return output


def test_steps_and_workers_exchange_artifacts_over_the_volume(
    site: Site, store: Store, engine: Engine, pods: Path, package: Path, volume: Path
) -> None:
    cluster = Cluster(pods, store)
    run = cluster.run(package, tasks=STEPS)
    assert engine.log.read_text().count("with state DONE") == 2, engine.log.read_text()
    rows = 0
    statistics = run.outputs["StatisticsGen"]["statistics"]
    for file in cluster.store.directory(statistics.uri).rglob("*.pb"):
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
        rows += found.datasets[0].num_examples
    assert rows == len((site.data / "first.csv").read_text().splitlines()) - 1
    for outputs in run.outputs.values():
        for artifact in outputs.values():
            assert artifact.uri.startswith("minio://") and str(volume) not in json.dumps(artifact.metadata)
    assert list((volume / "beam" / site.name).iterdir()) == [], "the volume keeps nothing"


def test_only_steps_with_workers_elsewhere_mount_the_volume(package: Path, volume: Path) -> None:
    _, platform = yaml.safe_load_all(package.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounting = [
        label
        for label, pod in executors.items()
        if str(volume) in [mount["mountPath"] for mount in pod.get("pvcMount", [])]
    ]
    expected = ("ExampleGen", "StatisticsGen", "Transform", "Evaluator")
    assert sorted(mounting) == sorted(map(executor_label, expected))


def test_a_worker_that_does_not_see_the_volume_is_one_sentence_before_any_job(
    site: Site, store: Store, engine: Engine, pods: Path, package: Path, volume: Path
) -> None:
    if not hiding(pods):
        pytest.skip("no directory can be hidden from a process here: unshare --mount --map-root-user")
    before = engine.log.read_text().count("with state")

    def elsewhere(container: Document) -> Document:
        args = [text.replace(f"={volume}/beam", f"={pods}/beam") for text in container["args"]]
        return {**container, "args": args}

    with pytest.raises(StepFailed) as caught:
        Cluster(pods, store).run(package, tasks=STEPS[:1], replace=elsewhere)
    said = str(caught.value)
    assert "ExampleGen failed: The worker pool at localhost:" in said and " does not see " in said
    assert "Traceback" not in said
    assert engine.log.read_text().count("with state") == before
    assert list((pods / "beam" / site.name).iterdir()) == []


def test_a_full_volume_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pod").mkdir()
    (tmp_path / "pod" / "file").write_text("content")
    artifact = {"artifacts": [{"uri": str(tmp_path / "pod")}]}
    adapted = {"inputs": {"artifacts": {"examples": artifact}}, "outputs": {"artifacts": {}}}
    monkeypatch.setattr(sharing, "check_engine", lambda *_: None)

    def fail(*_: object, **__: object) -> None:
        raise shutil.Error([("one", "other", str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))])

    for name, replaced in (("copytree", fail), ("disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))):
        with monkeypatch.context() as patched:
            patched.setattr(sharing.shutil, name, replaced)
            step = sharing.sharing(tmp_path / "beam", "Evaluator", adapted, ["--runner=PortableRunner"], "")
            with pytest.raises(sharing.SharedDirectoryError, match="beam is full \\(") as caught, step:
                pytest.fail("the step began")
        assert "make room on its volume" in str(caught.value)
        assert list((tmp_path / "beam").iterdir()) == []
