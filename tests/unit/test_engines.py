"""What a run asks of its engine before it begins, each answered in one sentence."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config, retrain
from pipeline.config.profile import Beam
from pipeline.engines.readiness import check_engine
from pipeline.kubeflow.compile import require_cluster
from tests.flink_stand_in import Answers


@pytest.fixture
def flink() -> Iterator[Answers]:
    answers = Answers()
    yield answers
    answers.close()


def beam(flink: Answers, jar: Path, *more: str) -> Beam:
    options = (
        f"--flink_master={flink.address}", "--environment_type=LOOPBACK", "--parallelism=2", "--flink_version=1.19",
        "--flink_submit_uber_jar", f"--flink_job_server_jar={jar}",
    )  # fmt: skip
    return Beam("FlinkRunner", options=(*options, *more))


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    (tmp_path / "beam.jar").touch()
    return tmp_path / "beam.jar"


def refusal(checked: Beam, shared: Path | None = None, files: tuple[Path, ...] = ()) -> str:
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        check_engine(checked, shared, files)
    assert time.monotonic() - began < 10
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_an_engine_that_has_everything_is_taken_and_a_local_run_asks_nobody(
    flink: Answers, jar: Path
) -> None:
    check_engine(beam(flink, jar))
    flink.close()
    check_engine(Beam())


def test_flink_that_is_not_there_is_named(flink: Answers, jar: Path) -> None:
    flink.close()
    assert f"No Flink answers at http://{flink.address} (Connection refused)" in refusal(beam(flink, jar))


def test_a_retraining_without_its_engine_is_to_be_tried_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scheduler's pod gives up after status 2, and Flink may only be starting."""
    profile = tmp_path / "nightly.toml"
    profile.write_text("""extends = "flink"
[beam]
options = ["--flink_master=127.0.0.1:9", "--environment_type=LOOPBACK"]
""")
    given = ["--profile", str(profile), "--workdir", str(tmp_path / "runs")]
    assert retrain.main(given) == retrain.TRY_LATER
    assert "No Flink answers at http://127.0.0.1:9 (Connection refused)" in capsys.readouterr().err


def test_something_else_at_flinks_address_is_named(flink: Answers, jar: Path) -> None:
    flink.overview = {"status": "ok"}
    assert "answers, and is no Flink" in refusal(beam(flink, jar))


def test_another_version_of_flink_is_named(flink: Answers, jar: Path) -> None:
    flink.overview["flink-version"] = "1.20.0"
    assert "is Flink 1.20.0, and [beam] options has --flink_version=1.19" in refusal(beam(flink, jar))


def test_too_few_free_slots_are_counted(flink: Answers, jar: Path) -> None:
    """Flink itself would wait for them five minutes; another run on the same Flink may have them."""
    flink.overview["slots-available"] = 1
    assert "has 1 free of 2 slots, and --parallelism=2 needs as many" in refusal(beam(flink, jar))


@pytest.mark.parametrize(
    ("memory", "key"), [("networkMemory", "network.max"), ("taskOffHeap", "task.off-heap.size")]
)
def test_memory_that_is_known_not_to_be_enough_is_refused(
    flink: Answers, jar: Path, memory: str, key: str
) -> None:
    flink.task_manager["memoryConfiguration"][memory] = 128 << 20
    assert f"has 128 MiB for taskmanager.memory.{key}" in (message := refusal(beam(flink, jar)))
    assert "needs 1024: set it" in message
    check_engine(beam(flink, jar, "--parallelism=1"))


@pytest.mark.parametrize("parallelism", ["many", "0", "-1"])
def test_a_parallelism_that_is_no_number_is_refused(flink: Answers, jar: Path, parallelism: str) -> None:
    assert f"--parallelism={parallelism}" in refusal(beam(flink, jar, f"--parallelism={parallelism}"))


def test_a_missing_jar_and_a_missing_java_are_named(flink: Answers, jar: Path, tmp_path: Path) -> None:
    jar.unlink()
    assert f"--flink_job_server_jar={jar}, which is not there" in refusal(beam(flink, jar))
    without = Beam("FlinkRunner", options=("--environment_type=LOOPBACK", "--job_server_java_launcher=jaava"))
    assert "there is no program 'jaava'" in refusal(without)
    # Beam would fetch it: neither in its cache nor at its address.
    nowhere = f"http://127.0.0.1:9/{jar.name}"
    message = refusal(beam(flink, jar, f"--flink_job_server_jar={nowhere}", f"--jar_cache_dir={tmp_path}"))
    assert f"is neither {jar} nor to be had at {nowhere}" in message
    jar.touch()
    check_engine(beam(flink, jar, f"--flink_job_server_jar={nowhere}", f"--jar_cache_dir={tmp_path}"))


def test_workers_in_containers_of_their_own_are_refused() -> None:
    assert "no --environment_type" in refusal(Beam("FlinkRunner"))
    assert "--environment_type=DOCKER" in refusal(Beam("FlinkRunner", options=("--environment_type=DOCKER",)))


def test_a_job_service_that_is_not_there_is_named(flink: Answers) -> None:
    flink.close()
    options = ("--environment_type=LOOPBACK", f"--job_endpoint={flink.address}")
    assert f"No job service of Beam answers at {flink.address}" in refusal(
        Beam("PortableRunner", options=options)
    )


def test_kubeflow_refuses_an_engine_whose_workers_cannot_see_a_steps_artifacts() -> None:
    loaded = config.load("taxi", "cluster", ["beam.runner=FlinkRunner"])
    with pytest.raises(
        ConfigurationError,
        match=r"runner is FlinkRunner, and a step on Kubeflow has its artifacts .* shared_directory",
    ):
        require_cluster(loaded)


@pytest.mark.parametrize(
    ("settings", "scores", "expected"),
    [
        ([], False, "[kubeflow] shared_directory /mnt/beam is on none of its volumes: add the claim"),
        (["kubeflow.volumes.beam=/mnt/beam"], False, ""),
        (
            ["kubeflow.volumes.beam=/mnt/beam"],
            True,
            "a table is predicted in the step's own pod: use DirectRunner",
        ),
        (
            ["kubeflow.shared_directory='beam'"],
            False,
            "shared_directory is 'beam'; it must be an absolute path",
        ),
    ],
)
def test_a_shared_directory_for_steps_and_workers_on_kubeflow(
    settings: list[str], scores: bool, expected: str
) -> None:
    given = ["beam.runner=FlinkRunner", "kubeflow.shared_directory=/mnt/beam", *settings]
    with pytest.raises(ConfigurationError) if expected else contextlib.nullcontext() as caught:
        require_cluster(config.load("taxi", "cluster", given), scores=scores)
    assert caught is None or expected in str(caught.value)
