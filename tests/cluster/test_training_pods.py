"""Training on several pods of a real cluster: each end has a reason, and nothing is left behind."""

import json
import os
import re
import shutil
import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.cluster.conftest import TWO_WORKERS, Namespace, pretend, wait_until

LONG = "sleep 120"
WRITE_A_MODEL = """
if [ "$JOB_COMPLETION_INDEX" = 0 ]; then python -c '
import json, os, pathlib
job = json.load(open(os.environ["JOB_FILE"]))
for key in ("model_directory", "log_directory", "recovery_directory"):
    path = pathlib.Path(job[key])
    path.mkdir(parents=True, exist_ok=True)
    (path / "file").write_text("made")
print("[training] epoch 1/1: loss 0.5", flush=True)'
fi
"""


def test_two_pods_train_one_model(namespace: Namespace, transformed: Path) -> None:
    """Real workers, real names, on what Transform left."""
    shutil.copytree(transformed, namespace.models / "transformed")
    step = namespace.start_step(*TWO_WORKERS, data="/mnt/models/transformed")
    assert step.wait(300) == 0, step.said
    assert "out/Format-Serving/saved_model.pb" in step.said
    report = json.loads(step.said.splitlines()[-1])
    assert (report["strategy"], report["replicas"]) == ("multi_worker", 2)
    assert "worker 0: epoch 1/1" in step.said
    assert namespace.nothing_is_left() and not namespace.staged


def test_the_model_comes_back_and_nothing_stays_behind(namespace: Namespace) -> None:
    namespace.node.command = pretend(WRITE_A_MODEL)
    step = namespace.start_step(*TWO_WORKERS)
    assert step.wait() == 0, step.said
    assert "Trainer done: out/Format-Serving/file out/run/file" in step.said
    assert "worker 0: epoch 1/1: loss 0.5" in step.said
    assert namespace.nothing_is_left() and not namespace.staged


def test_all_objects_are_owned_and_go_with_the_steps_pod_however_long_its_name_is(
    namespace: Namespace,
) -> None:
    namespace.node.command = pretend(LONG)
    name = f"chicago-taxi-trips-daily-abcde-retry-system-container-impl-{uuid.uuid4().int % 10**9:010}"
    assert len(name) > 63
    step = namespace.start_step(*TWO_WORKERS, name=name)
    step.started()
    for kind in ("jobs", "services", "pods"):
        for each in namespace.find(kind):
            assert each["metadata"]["ownerReferences"], each["metadata"]["name"]
    step.signal(signal.SIGKILL)
    namespace.delete("pods", name)
    assert namespace.nothing_is_left(30)


def test_every_worker_learns_its_own_place_and_sees_variables_as_they_were_written(
    namespace: Namespace,
) -> None:
    namespace.node.command = pretend(
        WRITE_A_MODEL
        + 'echo "$TF_CONFIG" > /mnt/models/place-$JOB_COMPLETION_INDEX; echo "$TEXT" > /mnt/models/text'
    )
    step = namespace.start_step(*TWO_WORKERS, "steps.Trainer.environment={TEXT='$(HOME) $$ costs $5'}")
    assert step.wait() == 0, step.said
    places = [json.loads((namespace.models / f"place-{index}").read_text()) for index in range(2)]
    assert [place["task"] for place in places] == [{"type": "worker", "index": index} for index in range(2)]
    assert places[0]["cluster"] == places[1]["cluster"]
    assert (namespace.models / "text").read_text() == "$(HOME) $$ costs $5\n"


def test_a_worker_that_crashes_is_named_with_its_last_lines(namespace: Namespace) -> None:
    namespace.node.command = pretend(
        "echo cannot read the data; [ $JOB_COMPLETION_INDEX = 1 ] && exit 3; sleep 60"
    )
    step = namespace.start_step(*TWO_WORKERS)
    assert step.wait() == 1
    assert "WorkersError: Worker 1 of 2 ended with status 3 (Error); the others were stopped." in step.said
    assert "  cannot read the data" in step.said
    assert namespace.nothing_is_left() and not list(namespace.staged[0].iterdir())


def test_a_worker_that_ran_out_of_memory_says_so(namespace: Namespace) -> None:
    namespace.node.command = pretend("[ $JOB_COMPLETION_INDEX = 0 ] && kill -9 $$; sleep 60")
    step = namespace.start_step(*TWO_WORKERS)
    assert step.wait() == 1
    assert "Worker 0 of 2 ended with status 137 (OOMKilled)" in step.said
    assert namespace.nothing_is_left()


def test_an_evicted_worker_says_why_the_node_ended_it(namespace: Namespace) -> None:
    namespace.node.command = pretend(LONG)
    step = namespace.start_step(*TWO_WORKERS)
    namespace.node.evict(step.started()[1], "The node was low on resource: memory.")
    assert step.wait() == 1
    assert "Worker 1 of 2 ended with status 137 (Evicted: The node was low on resource: memory)" in step.said
    assert namespace.nothing_is_left()


def test_a_worker_that_finds_no_node_is_given_up_on_with_the_schedulers_reason(namespace: Namespace) -> None:
    namespace.node.unschedulable = {1}
    namespace.node.command = pretend(LONG)
    step = namespace.start_step(*TWO_WORKERS, "training.startup_timeout_seconds=4")
    assert step.wait() == 1
    assert (
        "Worker 1 of 2 did not start within 4 s (0/1 nodes are available: 1 Insufficient nvidia.com/gpu.): free or "
        "add nodes" in step.said
    )
    assert namespace.nothing_is_left()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("steps.Trainer.run_as_user=0", 'violates PodSecurity "restricted:latest": runAsNonRoot != true'),
        ("steps.Trainer.memory='64Gi'", "exceeded quota: half, requested: limits.memory=64Gi"),
    ],
)
def test_pods_that_the_cluster_refuses_are_given_up_on_with_its_reason(
    namespace: Namespace, setting: str, reason: str
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "half"},
             "spec": {"hard": {"limits.memory": "32Gi"}}}  # fmt: skip
    namespace.api.call("POST", namespace.path("resourcequotas"), quota)
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "default"},
              "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}}]}}  # fmt: skip
    namespace.api.call("POST", namespace.path("limitranges"), limits)
    step = namespace.start_step(*TWO_WORKERS, setting, "training.startup_timeout_seconds=4")
    assert step.wait() == 1
    assert "Worker 0 of 2 did not start within 4 s (FailedCreate: Error creating: pods" in step.said
    assert reason in step.said
    assert namespace.nothing_is_left()


def test_a_deleted_job_is_said_to_be_deleted_whichever_is_seen_first(namespace: Namespace) -> None:
    for _ in range(3):
        namespace.node.command = pretend(LONG)
        step = namespace.start_step(*TWO_WORKERS)
        step.started()
        (job,) = namespace.find("jobs")
        namespace.delete("jobs", job["metadata"]["name"])
        assert step.wait() == 1
        assert (
            f"Someone deleted the Job {job['metadata']['name']} while it ran: run the step again."
            in step.said
        )
        assert namespace.nothing_is_left()


def test_an_api_that_is_away_for_a_while_does_not_end_a_training(namespace: Namespace) -> None:
    namespace.node.command = pretend("sleep 15; " + WRITE_A_MODEL)
    step = namespace.start_step(*TWO_WORKERS, patience_seconds=8)
    step.started()
    with namespace.api.away():
        time.sleep(12)
    assert step.wait() == 0, step.said
    assert namespace.nothing_is_left()


def test_an_api_that_stays_away_is_said_and_the_workers_end_by_themselves(namespace: Namespace) -> None:
    namespace.node.command = pretend(LONG)
    step = namespace.start_step(*TWO_WORKERS, away_seconds=1, patience_seconds=6, keep_finished_seconds=2)
    workers = step.started()
    with namespace.api.away():
        container = namespace.node.container(step.pod)
        wait_until(lambda: container.status() is not None, "the step's end")
        wait_until(
            lambda: all(namespace.node.container(name).status() == 4 for name in workers), "the workers' end"
        )
    assert (
        "Kubernetes' API cannot be reached (ReadTimeoutError) for 1 s (asked to list pods): try again later."
        in step.said
    )
    assert "it was cancelled or killed, so this worker ends" in namespace.log(workers[0])
    assert namespace.nothing_is_left()


def test_workers_of_a_killed_step_end_by_themselves_though_its_pod_is_kept(namespace: Namespace) -> None:
    namespace.node.command = pretend(LONG)
    step = namespace.start_step(*TWO_WORKERS, patience_seconds=6, keep_finished_seconds=2)
    workers = step.started()
    step.signal(signal.SIGKILL)
    assert step.wait() == 137
    wait_until(lambda: namespace.node.container(workers[0]).status() == 4, "the workers' end", 30)
    assert "The step of this worker has been silent for 6 s" in namespace.log(workers[0])
    assert namespace.nothing_is_left(30)
    assert namespace.get("pods", step.pod), "it owns what is gone"


def test_a_step_that_is_cancelled_as_argo_does_it_leaves_nothing(namespace: Namespace) -> None:
    """Whether its second was enough to clean up or not."""
    for _ in range(3):
        namespace.node.command = pretend(LONG)
        step = namespace.start_step(*TWO_WORKERS, on_argo=True, patience_seconds=6, keep_finished_seconds=2)
        step.started()
        began = time.monotonic()
        step.signal(signal.SIGTERM)
        assert step.wait() == 143
        assert time.monotonic() - began < 5, "process 1 waited for the step, which Argo's does not"
        assert "the step was cancelled: its workers are being removed" in step.said
        assert namespace.nothing_is_left()


def test_a_retry_replaces_what_a_killed_attempt_left_and_keeps_its_checkpoints(namespace: Namespace) -> None:
    namespace.node.command = pretend(WRITE_A_MODEL + LONG)
    killed = namespace.start_step(*TWO_WORKERS)
    killed.started()
    wait_until(lambda: list(namespace.staged[0].glob("recovery/file")), "a checkpoint")
    killed.signal(signal.SIGKILL)
    killed.wait()
    (before,) = namespace.find("jobs")
    namespace.node.command = pretend(
        '[ $JOB_COMPLETION_INDEX = 0 ] || exit 0; cd "$(dirname "$JOB_FILE")"; ls recovery/file && ! ls model || exit 9;'
        + WRITE_A_MODEL
    )
    retry = namespace.start_step(*TWO_WORKERS)
    wait_until(lambda: [job for job in namespace.find("jobs") if job["metadata"]["uid"] != before["metadata"]["uid"]],
               "another Job of the same name")  # fmt: skip
    assert retry.wait() == 0, retry.said
    assert namespace.nothing_is_left() and not namespace.staged


def test_what_abandoned_trainings_left_on_the_volume_goes_with_a_later_one(namespace: Namespace) -> None:
    old, new = (namespace.models / "training" / "taxi" / f"training-{name}" for name in ("old", "new"))
    for directory in (old, new):
        (directory / "recovery").mkdir(parents=True)
        for path in (directory, *directory.parents[:2]):
            shutil.chown(path, 1000, 0)
    for path in (old / "recovery", old):
        os.utime(path, times=(time.time() - 8 * 24 * 3600,) * 2)
    namespace.node.command = pretend(WRITE_A_MODEL)
    step = namespace.start_step(*TWO_WORKERS)
    assert step.wait() == 0, step.said
    assert namespace.staged == [new]


def test_a_job_that_does_not_go_away_is_named(namespace: Namespace) -> None:
    namespace.node.command = pretend(LONG)
    killed = namespace.start_step(*TWO_WORKERS)
    killed.started()
    killed.signal(signal.SIGKILL)
    (job,) = namespace.find("jobs")
    name = job["metadata"]["name"]
    namespace.api.call(
        "PATCH", namespace.path("jobs", name), {"metadata": {"finalizers": ["example.com/held"]}}
    )
    step = namespace.start_step(*TWO_WORKERS, away_seconds=1)
    assert step.wait() == 1
    assert f"The job {name} exists and does not go away: `kubectl delete job {name}`" in step.said
    namespace.api.call("PATCH", namespace.path("jobs", name), {"metadata": {"finalizers": []}})
    assert namespace.nothing_is_left()


def test_a_missing_permission_names_the_manifest(namespace: Namespace) -> None:
    step = namespace.start_step(*TWO_WORKERS, account="default")
    assert step.wait() == 1
    assert f"may not get pods in the namespace {namespace.name} (403): kubectl apply" in step.said
    assert "deploy/trainer-rbac.yaml" in step.said
    assert namespace.leftovers() == []


def test_a_cancelled_trainer_of_one_worker_loses_no_epoch_that_it_had_finished(
    namespace: Namespace, transformed: Path
) -> None:
    """Its second may be too short to save the epoch under way; nothing may be half-written."""
    shutil.copytree(transformed, namespace.models / "transformed")
    settings = ("training.epochs=40", "training.early_stopping_patience=0", "training.global_batch_size=16")
    step = namespace.start_step(*settings, data="/mnt/models/transformed", on_argo=True)
    wait_until(lambda: "epoch 2/40" in step.said, "two epochs", 180)
    step.signal(signal.SIGTERM)
    assert step.wait() == 143, step.said
    last = len(re.findall(r"(?m)^epoch \d+/40", step.said))
    again = namespace.start_step(*settings, data="/mnt/models/transformed")
    wait_until(lambda: re.search(r"(?m)^epoch \d+/40", again.said), "an epoch after the cancellation", 180)
    first, *_ = re.findall(r"(?m)^epoch (\d+)/40", again.said)
    assert int(first) == last + 1
    again.signal(signal.SIGKILL)
