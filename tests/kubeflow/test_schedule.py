"""`--schedule`: a pipeline has one schedule, and giving it again is harmless; against `rest_server`."""

from collections.abc import Callable

import pytest

from pipeline.kubeflow import compile
from tests.kubeflow.conftest import PACKAGE, Command
from tests.kubeflow.rest_server import Api, Refused


def test_a_schedule_never_overlaps_nor_catches_up(api: Api, command: Command) -> None:
    status, said = command("--schedule", "0 3 * * *")
    assert (status, "(0 0 3 * * *): created" in said) == (0, True), said
    (made,) = api.schedules
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (int(made["max_concurrency"]), made["no_catchup"], made["mode"]) == (1, True, "ENABLE")
    assert not api.runs


@pytest.mark.parametrize("release", ["2.16.1", "2.17.0"])
@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--parameter", "data_directory=/mnt/data/new", "--set", "kubeflow.service_account=trainer",
         "--set", 'kubeflow.pipeline_root="s3://bucket/runs"'],
    ],
    ids=["with nothing set", "with everything set"],
)  # fmt: skip
def test_the_same_schedule_again_is_unchanged(
    api: Api, command: Command, release: str, flags: list[str]
) -> None:
    """The server gives back neither an empty `runtime_config` nor that no account was asked for."""
    api.release = release
    assert "created" in command("--schedule", "0 3 * * *", *flags)[1]
    (first,) = api.schedules
    status, said = command("--schedule", "0 3 * * *", *flags)
    assert (status, f"Schedule {first['recurring_run_id']} (0 0 3 * * *): unchanged" in said) == (0, True), (
        said
    )
    assert api.schedules == [first]


@pytest.mark.parametrize(
    "change",
    [
        ["--parameter", "data_directory=/mnt/data/new"],
        ["--set", "kubeflow.service_account=trainer"],
        ["--set", 'kubeflow.pipeline_root="s3://bucket/runs"'],
        ["--schedule", "30 0 4 * * *"],
    ],
    ids=["parameter", "service account", "pipeline root", "times"],
)
@pytest.mark.parametrize("release", ["2.16.1", "2.17.0"])
def test_a_changed_schedule_replaces_the_one_there_was(
    api: Api, command: Command, release: str, change: list[str]
) -> None:
    api.release = release
    command("--schedule", "0 3 * * *")
    (first,) = api.schedules
    status, said = command("--schedule", "0 3 * * *", *change)
    (second,) = api.schedules
    assert (status, f"replaced {first['recurring_run_id']}" in said) == (0, True), said
    assert f"Schedule {second['recurring_run_id']} " in said and second != first
    asked = [method for method, path, _ in api.requests if "recurringruns" in path]
    assert asked[-2:] == ["POST", "DELETE"], "the new one before the old one goes"


def test_predictions_have_a_schedule_of_their_own(api: Api, command: Command) -> None:
    where = ("--set", "scoring.input=/mnt/data/new", "--set", "scoring.output=/mnt/models/scored")
    scored = ("--score", *where, "--parameter", "model_version=17", "--schedule", "0 6 * * *")
    command("--schedule", "0 3 * * *")
    status, said = command(*scored)
    assert (status, "(0 0 6 * * *): created" in said) == (0, True), said
    assert "of taxi-scoring: uploaded" in said
    assert "unchanged" in command(*scored)[1]
    assert [made["trigger"]["cron_schedule"]["cron"] for made in api.schedules] == [
        "0 0 3 * * *",
        "0 0 6 * * *",
    ]
    assert api.schedules[1]["runtime_config"]["parameters"] == {"model_version": "17"}
    status, said = command("--score", *where, "--parameter", "data_directory=/x")
    assert (status, "input, model_version, output" in said) == (2, True), said


def test_a_changed_pipeline_replaces_its_schedule(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("--schedule", "0 3 * * *")
    monkeypatch.setattr(compile, "compile_pipeline", lambda loaded, scores: PACKAGE + "# changed\n")
    assert "replaced" in command("--schedule", "0 3 * * *")[1]
    (schedule,) = api.schedules
    assert schedule["pipeline_version_reference"]["pipeline_version_id"] == "version-1"


def test_a_schedule_of_an_earlier_release_of_this_package_is_replaced(api: Api, command: Command) -> None:
    command("--schedule", "0 3 * * *")
    del api.schedules[0]["description"]
    assert f"replaced {api.schedules[0]['recurring_run_id']}" in command("--schedule", "0 3 * * *")[1]
    assert len(api.schedules) == 1


def test_a_paused_schedule_stays_paused_and_says_so(api: Api, command: Command) -> None:
    command("--schedule", "0 3 * * *")
    api.schedules[0].update(mode="DISABLE", status="DISABLED")
    (paused,) = api.schedules
    status, said = command("--schedule", "0 3 * * *")
    assert (status, "unchanged, and paused as somebody left it: enable it in the UI" in said) == (0, True), (
        said
    )
    assert api.schedules == [paused]

    said = command("--schedule", "0 4 * * *")[1]
    assert f"replaced {paused['recurring_run_id']}, and paused as somebody left it" in said
    (changed,) = api.schedules
    assert (changed["mode"], changed["trigger"]["cron_schedule"]["cron"]) == ("DISABLE", "0 0 4 * * *")


def test_of_two_schedules_the_one_that_is_not_paused_goes_on(api: Api, command: Command) -> None:
    """As after a second one was made in the UI."""
    command("--schedule", "0 3 * * *")
    (ours,) = api.schedules
    api.schedules.append({**ours, "recurring_run_id": "of-the-ui", "mode": "DISABLE"})
    assert "replaced of-the-ui" in command("--schedule", "0 3 * * *")[1]
    assert api.schedules == [ours]


def test_schedules_and_versions_are_found_on_later_pages(api: Api, command: Command) -> None:
    command("--schedule", "0 3 * * *")
    others = {**api.schedules[0], "display_name": "somebody-elses"}
    api.schedules[:0] = [{**others, "recurring_run_id": f"other-{number}"} for number in range(250)]
    newer = {**api.versions[0], "description": ""}
    api.versions += [
        {**newer, "pipeline_version_id": f"newer-{n}", "display_name": f"newer-{n}"} for n in range(250)
    ]
    said = command("--schedule", "0 3 * * *")[1]
    assert "Version version-0 of taxi: already there" in said and "unchanged" in said
    assert (len(api.schedules), len(api.versions)) == (251, 251)


@pytest.mark.parametrize("key", ["tag_name", "apiServerTagName"], ids=["API server", "its UI"])
@pytest.mark.parametrize(
    ("release", "account", "is_said"),
    [
        ("2.16.1", "trainer", True),
        ("2.17.0", "trainer", False),
        ("2.16.1", None, False),
        ("", "trainer", False),
    ],
)
def test_a_server_whose_schedules_ignore_the_service_account_is_named(
    api: Api, command: Command, key: str, release: str, account: str | None, is_said: bool
) -> None:
    answer = api.answer

    def health(method: str, path: str, query: dict, content: bytes) -> dict:
        return {key: release} if path.endswith("healthz") else answer(method, path, query, content)

    api.answer = health
    flags = ["--set", f"kubeflow.service_account={account}"] if account else []
    status, said = command("--schedule", "0 3 * * *", *flags)
    expected = (
        f"Note: Kubeflow Pipelines {release} runs schedules under pipeline-runner and not under trainer"
    )
    assert (status, expected in said, "Note:" in said) == (0, is_said, is_said), said


def test_a_schedule_that_is_refused_leaves_the_old_one(api: Api, command: Command) -> None:
    command("--schedule", "0 3 * * *")
    (before,) = api.schedules
    deletions = [request for request in api.requests if request[0] == "DELETE"]
    original, api.answer = api.answer, _refusing(api)
    status, said = command("--schedule", "0 4 * * *")
    api.answer = original
    assert (status, api.schedules, deletions) == (1, [before], [])
    assert "(500)" in said


def _refusing(api: Api) -> Callable[..., dict]:
    original = api.answer

    def answer(method: str, path: str, query: dict, content: bytes) -> dict:
        if (method, path) == ("POST", "/apis/v2beta1/recurringruns"):
            raise Refused(500, "the database is away")
        return original(method, path, query, content)

    return answer
