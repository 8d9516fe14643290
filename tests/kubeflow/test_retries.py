"""What Argo makes of `retries`, and what a person reads of a step that failed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubeflow.conftest import WEAK
from tests.kubeflow.emulator import Cluster, Run, StepFailed
from tests.kubeflow.launcher import Artifact
from tests.kubeflow.object_store import Store

HOURS = 3600.0


@pytest.fixture
def own_cluster(tmp_path: Path, store: Store) -> Cluster:
    return Cluster(tmp_path / "pods", store)


@pytest.fixture
def limited(compiled: Callable[..., Path], tmp_path: Path) -> Path:
    """The compiled file with the limit that KFP's SDK takes for its default: an hour."""
    text = compiled(*WEAK).read_text()
    assert text.count("backoffMaxDuration: 2592000s") > 5
    (tmp_path / "limited.yaml").write_text(text.replace("2592000s", "3600s"))
    return tmp_path / "limited.yaml"


def doing(code: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Lets a step run `code` instead of its own."""
    return lambda container: {**container, "command": ["python", "-c", code], "args": []}


def kill_after(cluster: Cluster, seconds: float) -> None:
    """The first attempt at ExampleGen is killed, `seconds` after its start by the cluster's clock."""
    now = [0.0]

    def kill(root: Path) -> bool:
        now[0] = seconds
        return True

    cluster.clock = lambda: now[0]
    cluster.interrupt_when["ExampleGen"] = kill


def pods(tmp_path: Path) -> int:
    """Of failed attempts; those that succeed leave none."""
    return len(list((tmp_path / "pods").iterdir()))


@pytest.mark.parametrize("seconds", [60.0, 5 * HOURS, 300 * HOURS])
def test_retries_alone_decide_whether_a_step_is_retried(
    own_cluster: Cluster, compiled: Callable[..., Path], tmp_path: Path, seconds: float
) -> None:
    kill_after(own_cluster, seconds)
    run = own_cluster.run(compiled(*WEAK), tasks=["ExampleGen"], replace=doing("import time; time.sleep(1)"))
    assert run.attempts["ExampleGen"] == 2 and pods(tmp_path) == 1


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(1.1 * HOURS, "Max duration limit exceeded"), (0.99 * HOURS, "Backoff would exceed max duration limit")],
)
def test_under_a_limit_of_an_hour_a_longer_step_is_not_retried(
    own_cluster: Cluster, limited: Path, tmp_path: Path, seconds: float, reason: str
) -> None:
    kill_after(own_cluster, seconds)
    with pytest.raises(StepFailed, match=reason):
        own_cluster.run(limited, tasks=["ExampleGen"], replace=doing("import time; time.sleep(60)"))
    assert pods(tmp_path) == 1


def test_under_a_limit_of_an_hour_a_retry_is_killed_when_it_is_over(
    own_cluster: Cluster, limited: Path, tmp_path: Path
) -> None:
    begun = time.monotonic()
    own_cluster.clock = lambda: (time.monotonic() - begun) * HOURS / 2
    own_cluster.interrupt_when["ExampleGen"] = lambda root: True
    with pytest.raises(StepFailed, match=r"Max duration limit exceeded: [\s\S]*signal: killed"):
        own_cluster.run(limited, tasks=["ExampleGen"], replace=doing("import time; time.sleep(60)"))
    assert pods(tmp_path) == 2 and time.monotonic() - begun < 30


def test_a_failed_steps_sentence_stands_above_the_launchers_own_lines(
    own_cluster: Cluster, compiled: Callable[..., Path]
) -> None:
    gone = Artifact(1, "examples", "", "minio://mlpipeline/nothing/here", {})
    with pytest.raises(StepFailed) as failure:
        own_cluster.run(
            compiled(*WEAK), tasks=["StatisticsGen"], reuse=Run(outputs={"ExampleGen": {"examples": gone}})
        )
    lines = str(failure.value).splitlines()
    (sentence,) = [line for line in lines if line.startswith("StatisticsGen failed: ")]
    assert "The input examples (" in sentence and "Traceback" not in str(failure.value)
    after = lines[lines.index(sentence) + 1 :]
    assert "failed to execute component: exit status 1" in "".join(after)
    assert after[-1] == "Error: exit status 1"
