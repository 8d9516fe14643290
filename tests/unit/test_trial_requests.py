"""How trials are handed to workers elsewhere: plain files and a pretended cluster, no TensorFlow."""

import json
import math
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.trainer_pods import trial_pods
from components.trainer_pods.lifetime import WorkersError
from components.trainer_pods.trial_pods import ATTEMPTS, TrialPods
from components.trainer_pods.worker_pods import WorkerPods
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.kubeflow import pods
from trainer_module.job import Job
from trainer_module.tuning import worker
from trainer_module.tuning.processes import Processes, Task
from trainer_module.tuning.requests import Requests, is_done, read_request
from trainer_module.tuning.worker import serve

SPACE = "tuning.space.training.learning_rate={min=0.001,max=0.1}"
IN_PODS = (SPACE, "tuning.pods=2", "kubeflow.training_directory='/mnt/models/training'")


def task(directory: Path, number: int = 0) -> Task:
    trial = directory / f"trial-{number}"
    trial.mkdir(parents=True, exist_ok=True)
    job = Job((), (), "", "", "", str(trial), config.load("taxi", "laptop").settings)
    return Task(job, trial / "round-0.json")


def write_result(given: Task) -> None:
    given.result.write_text(json.dumps({"history": {}, "seconds": 1.0, "error": ""}))


def test_a_request_is_for_one_worker_until_it_is_withdrawn(tmp_path: Path) -> None:
    requests, given = Requests(tmp_path), task(tmp_path / "recovery")
    requests.announce("a-0")
    assert requests.ready() == {"a-0"} and requests.find("a-0") is None
    request = requests.give("a-0", given)
    assert requests.find("a-0") == request and requests.find("a-00") is None
    assert read_request(request) == given and not is_done(given)
    request.unlink()
    assert requests.find("a-0") is None and not requests.is_open(request)
    assert not Requests(tmp_path / "gone").is_open(request), "a search that is over removes the directory"


class Slow(Processes):
    """Trains nothing, and is done when it is told."""

    def __init__(self) -> None:
        super().__init__([], Path())
        self.given: list[Task] = []
        self.finish = threading.Event()

    def train(self, tasks: Sequence[Task], deadline: float) -> Iterator[Task]:
        self.given += tasks
        if self.finish.wait(0.01):
            write_result(self.given[-1])
            yield self.given[-1]


def test_a_worker_whose_request_is_withdrawn_ends_and_does_not_train_one_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_POLL_SECONDS", 0.01)
    requests, slow = Requests(tmp_path), Slow()
    first, second = task(tmp_path / "recovery", 0), task(tmp_path / "recovery", 1)
    done = requests.give("w", first)
    slow.finish.set()
    ended: list[Path] = []
    thread = threading.Thread(target=lambda: ended.append(serve(requests, "w", slow)))
    thread.start()
    while not is_done(first):
        time.sleep(0.01)
    # Still there: the search may be slow to notice.
    time.sleep(0.1)
    assert slow.given == [first]
    slow.finish.clear()
    request = requests.give("w", second)
    done.unlink()
    while slow.given[-1] != second:
        time.sleep(0.01)
    assert not ended
    request.unlink()
    thread.join(10)
    assert ended == [request] and slow.given == [first, second] and not is_done(second)


class Cluster:
    """Pods that run as `phases` says, as Kubernetes' API tells of them."""

    def __init__(self, *names: str) -> None:
        self.phases = dict.fromkeys(names, "Running")
        self.made: list[dict[str, Any]] = []

    def owner(self, pod: str) -> None:
        return None

    def replace(self, kind: str, document: dict[str, Any]) -> str:
        self.made.append(document)
        return "uid"

    def job(self, name: str) -> dict[str, Any]:
        return {"metadata": {"uid": "uid"}, "status": {}}

    def delete(self, kind: str, name: str) -> None:
        self.made.clear()

    def pods(self, selector: str) -> list[dict[str, Any]]:
        ended = [{"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]
        index = {"batch.kubernetes.io/job-completion-index": "0"}
        return [
            {
                "metadata": {"name": name, "annotations": index},
                "status": {"phase": phase, **({"containerStatuses": ended} if phase == "Failed" else {})},
            }
            for name, phase in self.phases.items()
        ]

    def warnings(self, uid: str) -> list[str]:
        return ["FailedCreate: exceeded quota"]

    def last_lines(self, pod: str, count: int) -> list[str]:
        return ["no such module"]


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> WorkerPods:
    monkeypatch.setattr(trial_pods, "_POLL_SECONDS", 0.01)
    loaded = config.load("taxi", "cluster", IN_PODS)
    assert loaded.kubeflow is not None
    asked = pods.trial_pods(loaded, loaded.kubeflow)
    assert asked is not None and asked["count"] == 2
    return WorkerPods(**asked["each"])


def opened(cluster: Cluster, directory: Path, values: WorkerPods, startup_seconds: int = 60) -> TrialPods:
    """Pods of which all have said that they are there."""
    for name in cluster.phases:
        Requests(directory / "requests").announce(name)
    return TrialPods(cluster, directory, values, 2, startup_seconds)  # type: ignore[arg-type]


def test_the_trial_of_a_pod_that_ends_goes_to_another(tmp_path: Path, values: WorkerPods) -> None:
    cluster = Cluster("a", "b")
    places, requests = opened(cluster, tmp_path, values), Requests(tmp_path / "requests")
    tasks = [task(tmp_path / "recovery", number) for number in range(3)]
    given: dict[str, Task] = {}

    def live() -> None:
        while not all(map(is_done, tasks)):
            time.sleep(0.005)
            for name, phase in list(cluster.phases.items()):
                if (request := requests.find(name)) and phase == "Running":
                    asked = read_request(request)
                    if name == "a" and asked.result == tasks[0].result:
                        given[name] = asked
                        cluster.phases["a"] = "Failed"
                    elif not is_done(asked):
                        given[f"{name} {asked.result.parent.name}"] = asked
                        write_result(asked)

    with places.closing():
        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        done = list(places.train(tasks, math.inf))
        assert len(cluster.made) == 1
    assert sorted(each.result for each in done) == [each.result for each in tasks]
    assert given.keys() == {"a", "b trial-0", "b trial-1", "b trial-2"}
    assert not list((tmp_path / "requests").glob("*.json")) and not cluster.made


def test_a_trial_that_ends_every_pod_fails_alone(tmp_path: Path, values: WorkerPods) -> None:
    cluster = Cluster(*(f"pod-{number}" for number in range(ATTEMPTS)))
    places, requests = opened(cluster, tmp_path, values), Requests(tmp_path / "requests")
    large, other = task(tmp_path / "recovery", 0), task(tmp_path / "recovery", 1)

    def live() -> None:
        while not is_done(other):
            time.sleep(0.005)
            for name in [name for name, phase in cluster.phases.items() if phase == "Running"]:
                if request := requests.find(name):
                    if read_request(request).result == large.result:
                        cluster.phases[name] = "Failed"
                        # As a Job does it.
                        cluster.phases[f"{name}-again"] = "Running"
                        requests.announce(f"{name}-again")
                    elif is_done(large):
                        write_result(other)

    with places.closing():
        threading.Thread(target=live, daemon=True).start()
        assert list(places.train([large, other], math.inf)) == [large, other]
    error = json.loads(large.result.read_text())["error"]
    assert error == f"{ATTEMPTS} pods ended while they trained it: it may need more [steps.Tuner] memory"


def test_pods_are_made_when_there_is_something_to_train_and_given_up_in_time(
    tmp_path: Path, values: WorkerPods
) -> None:
    cluster = Cluster("a")
    places = opened(cluster, tmp_path, values)
    with places.closing():
        assert not list(places.train([], math.inf)) and not cluster.made
        began = time.monotonic()
        assert not list(places.train([task(tmp_path / "recovery")], began + 0.2))
        assert time.monotonic() - began < 5
        (made,) = cluster.made
    (container,) = made["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert "TF_CONFIG" not in variables and variables["CUDA_VISIBLE_DEVICES"] == "-1"
    assert container["command"][-2:] == ["--name", "$(POD_NAME)"] and made["spec"]["parallelism"] == 2


def test_pods_that_never_start_are_given_up_on_with_the_clusters_reason(
    tmp_path: Path, values: WorkerPods
) -> None:
    places = opened(Cluster(), tmp_path, values, startup_seconds=0)
    with places.closing(), pytest.raises(WorkersError) as refused:
        list(places.train([task(tmp_path / "recovery")], math.inf))
    assert "(FailedCreate: exceeded quota)" in str(refused.value)
    assert "less in [steps.Tuner]" in str(refused.value)


def test_pods_that_end_before_they_take_a_trial_end_the_search_with_their_last_lines(
    tmp_path: Path, values: WorkerPods
) -> None:
    cluster = Cluster()
    places = opened(cluster, tmp_path, values)
    cluster.phases = dict.fromkeys("abc", "Failed")
    with places.closing(), pytest.raises(WorkersError) as refused:
        list(places.train([task(tmp_path / "recovery")], math.inf))
    assert str(refused.value) == (
        "3 pods ended before they took a trial; the last one ended with status 137 (OOMKilled). Its last lines:\n"
        "  no such module"
    )
    assert not cluster.made


@pytest.mark.parametrize(
    ("profile", "overrides", "said"),
    [
        ("laptop", ["tuning.pods=2"], "pods is 2, and profile laptop has no [kubeflow]"),
        ("cluster", ["tuning.pods=2", "tuning.parallel=2"], "pods is 2 beside parallel 2"),
        ("cluster", ["tuning.pods=-1"], "pods is -1; it must be from 0"),
    ],
)
def test_pods_where_they_mean_nothing_are_refused(profile: str, overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        config.load("taxi", profile, [SPACE, *overrides])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((SPACE, "tuning.pods=2"), "set [kubeflow] training_directory, on a ReadWriteMany volume"),
        (
            (*IN_PODS, "steps.Tuner.gpus=2"),
            "[steps.Tuner] gpus is 2, and each of [tuning] pods trains one trial",
        ),
    ],
)
def test_pods_that_could_not_train_are_refused_while_compiling(overrides: tuple[str, ...], said: str) -> None:
    loaded = config.load("taxi", "cluster", overrides)
    assert loaded.kubeflow is not None
    with pytest.raises(ConfigurationError) as refused:
        pods.trial_pods(loaded, loaded.kubeflow)
    assert said in str(refused.value)


def test_the_section_of_the_step_is_about_the_pods_of_its_trials_and_not_about_its_own() -> None:
    asked = (*IN_PODS, "steps.Tuner.gpus=1", "steps.Tuner.memory='64Gi'")
    loaded = config.load("taxi", "cluster", asked)
    assert loaded.kubeflow is not None
    each = pods.trial_pods(loaded, loaded.kubeflow)["each"]  # type: ignore[index]
    assert (each["gpus"], each["memory"]) == (1, "64Gi")
    step = pods.steps(loaded)["Tuner"]
    assert (step.gpus, step.memory) == (0, "4Gi")
    without = config.load("taxi", "cluster", [*asked, "tuning.on=false"])
    assert pods.trial_pods(without, loaded.kubeflow) is None
