"""Who is told of a run, of what, and what happens where nobody listens."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.data_gate.distance import PREVIOUS, Distance
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.notify.channel import find_channels
from pipeline.notify.events import event_of
from pipeline.notify.settings import NOTIFY_SECTION as Notify
from pipeline.runs.run import Run
from tests.extension import copy_tree, run_python, write_from_readme
from tests.listener import SECRET, Listener

from .records import make_record, publish_metrics, send_messages
from .test_config import MINIMAL


@pytest.fixture
def listener() -> Iterator[Listener]:
    opened = Listener()
    yield opened
    opened.close()


FAILED = {"status": "failed", "error": "Trainer: <out of memory> & more", "metrics": {}, "blessed": False}
REFUSED = {
    "blessed": False,
    "refusals": ("auc on the whole eval split: 0.8, the gate asks for at least 0.9",),
}
DRIFT = [
    Distance("fare", "js", 0.5, 0.1, PREVIOUS, "fare: a hundred times larger"),
    Distance("tips", "js", 0.01, 0.1, PREVIOUS, "tips: unchanged"),
]


@pytest.mark.parametrize(
    ("run", "event"),
    [
        (make_record(1), None),
        (make_record(1, **FAILED), "failed"),
        (make_record(1, **{**FAILED, "status": "killed"}), "killed"),
        (make_record(1, **REFUSED), "not_blessed"),
        (make_record(1, drift=DRIFT), "drift"),
        (make_record(1, drift=DRIFT[1:]), None),
    ],
)
def test_people_hear_of_what_is_wrong_and_of_nothing_else(run: Run, event: str | None) -> None:
    assert event_of(run) == event


def test_the_message_says_what_happened_and_why(listener: Listener) -> None:
    runs = [make_record(1), make_record(2, **FAILED), make_record(3, **REFUSED), make_record(4, drift=DRIFT)]
    assert send_messages(Notify(webhook=listener.url), runs, {}) == []
    failed, refused, drifted = listener.bodies
    assert (failed["event"], failed["pipeline"], failed["run_id"]) == ("failed", "taxi", "run-2")
    assert failed["reasons"] == [FAILED["error"]] and failed["message"] == "taxi: the run failed"
    assert refused["event"] == "not_blessed" and "the gate asks for" in refused["reasons"][0]
    assert refused["metrics"]["auc"] == 0.94
    assert drifted["reasons"] == ["fare: a hundred times larger"]


def test_slack_gets_one_escaped_text(listener: Listener) -> None:
    notify = Notify(webhook=listener.url, webhook_format="slack")
    assert send_messages(notify, [make_record(2, **FAILED)], {}) == []
    (body,) = listener.bodies
    assert list(body) == ["text"]
    first, second, *_ = body["text"].splitlines()
    assert first == "*taxi*: the run failed"
    assert second == "• Trainer: &lt;out of memory&gt; &amp; more"


def test_a_server_in_trouble_is_asked_again(listener: Listener) -> None:
    listener.answers = [500, 429, 204]
    assert send_messages(Notify(webhook=listener.url, retries=2), [make_record(2, **FAILED)], {}) == []
    assert len(listener.bodies) == 3


def test_a_server_that_refuses_is_not_asked_again(listener: Listener) -> None:
    listener.answers = [404]
    (warning,) = send_messages(Notify(webhook=listener.url), [make_record(2, **FAILED)], {})
    assert "not told of 'failed' (HTTP Error 404" in warning and len(listener.bodies) == 1


@pytest.mark.parametrize("drip", [False, True])
def test_a_slow_server_costs_no_more_than_the_time_out(listener: Listener, drip: bool) -> None:
    listener.delay, listener.drip = (0 if drip else 60), drip
    notify = Notify(webhook=listener.url, timeout_seconds=0.5, retries=1)
    began = time.monotonic()
    (warning,) = send_messages(notify, [make_record(2, **FAILED), make_record(3, **FAILED)], {})
    # Two attempts and the second between them; who does not answer is not told of the next run either.
    assert time.monotonic() - began < 4
    assert "timed out" in warning or "no answer within 0.5 s" in warning
    assert len(listener.bodies) == 2


def test_a_dead_endpoint_is_one_warning_that_does_not_show_the_secret() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    notify = Notify(pushgateway=url, webhook=f"{url}/{SECRET}", retries=0)
    warnings = send_messages(notify, [make_record(2, **FAILED)], {})
    assert len(warnings) == 2
    assert all("refused" in warning and warning.count("\n") == 0 for warning in warnings)
    assert SECRET not in str(warnings)


def test_a_textfile_that_cannot_be_written_is_a_warning_and_leaves_the_old_one(tmp_path: Path) -> None:
    notify = Notify(textfile_directory=str(tmp_path))
    assert publish_metrics(notify, "taxi", [], checked=1.0) == []
    before = (tmp_path / "tfx_pipeline_taxi.prom").read_text()
    (warning,) = publish_metrics(Notify(textfile_directory=str(tmp_path / "gone")), "taxi", [], checked=2.0)
    assert "No such file" in warning
    assert (tmp_path / "tfx_pipeline_taxi.prom").read_text() == before


def test_the_webhooks_address_may_be_a_secret_of_the_environment(listener: Listener) -> None:
    notify = Notify(webhook_variable="HOOK")
    assert send_messages(notify, [make_record(2, **FAILED)], {"HOOK": listener.url}) == []
    assert len(listener.bodies) == 1


@pytest.mark.parametrize(
    ("notify", "environment", "expected"),
    [
        (Notify(webhook_variable="HOOK"), {}, "which is not set in the environment"),
        (Notify(webhook_variable="HOOK"), {"HOOK": f"http://a/{SECRET}\n"}, "which is not a URL"),
        (Notify(textfile_directory="/nowhere"), {}, "/nowhere is not a directory: make it"),
    ],
)
def test_what_would_keep_people_from_being_told_is_found_before_the_run(
    notify: Notify, environment: dict[str, str], expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected) as caught:
        notify.check(environment)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("notify.pushgateway=localhost:9091", "must be a URL such as http://host:9091"),
        ("notify.pushgateway=http://user:password@host", "without user and password"),
        ("notify.textfile_directory=metrics", "must be an absolute path"),
        ("notify.timeout_seconds=0", "must be above 0"),
        ("notify.retries=-1", "must be from 0 to 10"),
        ("notify.webhook_format=teams", "must be one of 'json', 'slack'"),
        ("notify.webhok=http://a", "did you mean 'webhook'?"),
    ],
)
def test_mistakes_in_the_section_are_one_sentence(override: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.load("taxi", "laptop", [override])
    assert expected in str(caught.value) and "[notify]" in str(caught.value)
    assert "user:" not in str(caught.value)


def test_one_webhook_not_two() -> None:
    with pytest.raises(ConfigurationError, match="has both webhook and webhook_variable"):
        config.load("taxi", "laptop", ["notify.webhook=http://a", "notify.webhook_variable=B"])


def test_a_channel_that_breaks_is_a_warning_and_the_others_are_told(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: object) -> list[str]:
        raise ValueError("out of paper")

    first = find_channels()[0]
    assert first.__module__ != "pipeline.notify.channels.webhook"
    monkeypatch.setattr(first, "send", break_down)
    warnings = send_messages(Notify(webhook=listener.url), [make_record(2, **FAILED)], {})
    assert warnings == ["the channel 'pushgateway' failed (ValueError: out of paper)."]
    assert len(listener.bodies) == 1


def test_a_new_channel_is_one_file_with_keys_of_its_own(listener: Listener, tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    dataset = tmp_path / "orders.toml"
    dataset.write_text(MINIMAL.replace('"."', '"gone"'))
    # The data is missing: a run that fails at once.
    retrain = (
        "import sys\nfrom pipeline import retrain\nsys.exit(retrain.main(sys.argv[1:]))",
        "--dataset", str(dataset), "--workdir", str(tmp_path / "runs"), "--set",
    )  # fmt: skip
    before = run_python(tree, *retrain, f"notify.chat_room={listener.url}")
    assert before.returncode == 2 and "[notify] has no key 'chat_room'" in before.stderr

    write_from_readme(tree, "pipeline/notify/channels/chat.py")
    done = run_python(tree, *retrain, f"notify.chat_room={listener.url}")
    assert "is not a directory" in done.stderr and "warning" not in done.stderr
    (body,) = listener.bodies
    assert body["text"].startswith("orders: the run failed")
    wrong = run_python(tree, *retrain, "notify.chat_room=room 1")
    assert wrong.returncode == 2 and "[notify] chat_room must be a URL" in wrong.stderr
    listener.answers = [404]
    refused = run_python(tree, *retrain, f"notify.chat_room={listener.url}")
    assert refused.returncode == done.returncode, "a failed notification never fails the run"
    assert "warning: the chat room did not take the message (HTTP Error 404" in refused.stderr


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_never_makes_an_empty_request_of_a_message(listener: Listener, status: int) -> None:
    listener.answers = [status]
    listener.location = listener.url
    (warning,) = send_messages(Notify(webhook=listener.url), [make_record(2, **FAILED)], {})
    assert "was not told of 'failed'" in warning and str(status) in warning and SECRET not in warning
    assert len(listener.bodies) == 1
