"""What `pipeline.engines` takes Flink's answers to be, asked of Flink itself; Beam has no part in it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline.config.profile import Beam
from pipeline.engines.flink import Flink, FlinkError
from pipeline.engines.readiness import check_engine
from pipeline.engines.watch import following

from .conftest import Started


class Lines(list[str]):
    """Keeps what is shown."""

    say = note = list.append


def beam(bare: Started, jar: Path, parallelism: int, version: str = "1.19") -> Beam:
    options = (
        f"--flink_master={bare.address}", f"--flink_version={version}", "--environment_type=LOOPBACK",
        f"--flink_job_server_jar={jar}", f"--parallelism={parallelism}",
    )  # fmt: skip
    return Beam("FlinkRunner", options=options)


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    (tmp_path / "beam.jar").touch()
    return tmp_path / "beam.jar"


def test_the_flink_of_make_flink_has_what_its_profile_needs(bare: Started, jar: Path) -> None:
    check_engine(beam(bare, jar, 2))
    with pytest.raises(ConfigurationError, match="has 2 free of 2 slots, and --parallelism=3"):
        check_engine(beam(bare, jar, 3))
    with pytest.raises(
        ConfigurationError, match=r"is Flink 1\.19\.\d+, and \[beam\] options has --flink_version=1.18"
    ):
        check_engine(beam(bare, jar, 2, "1.18"))


def test_a_run_that_ends_early_cancels_its_job_and_not_its_neighbours(
    bare: Started, jar: Path, submit: Callable[[str], None]
) -> None:
    flink, lines = Flink(bare.address), Lines()
    submit("taxi-1")
    submit("shop-1")
    with pytest.raises(ConfigurationError, match="has 0 free of 2 slots"):
        check_engine(beam(bare, jar, 1))
    with pytest.raises(KeyboardInterrupt), following(flink, "taxi-1", [], lines) as notes:
        time.sleep(5)
        raise KeyboardInterrupt
    assert notes == ["the Flink job taxi-1 was cancelled"]
    assert lines[0].startswith(f"Flink job taxi-1: http://{bare.address}/#/job/running/")
    assert "Flink job running, 0 of 1 tasks done" in lines
    (mine,), (other,) = flink.jobs("taxi"), flink.jobs("shop")
    assert (mine.state, other.state) == ("CANCELED", "RUNNING")
    with pytest.raises(FlinkError, match=f"answers 404 to PATCH /jobs/{'0' * 32}"):
        flink._call("PATCH", f"/jobs/{'0' * 32}?mode=cancel")
    flink.cancel(other)
