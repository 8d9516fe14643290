"""Metrics of runs in the real Prometheus, Pushgateway and node-exporter, as Debian ships them."""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data_gate.distance import PREVIOUS, Distance
from pipeline.notify.settings import NOTIFY_SECTION as Notify
from tests.debian import unpacked_program

from .records import make_record, publish_metrics

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "retraining.yml"
HOUR = 3600.0
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-pushgateway": "prometheus-pushgateway",
    "prometheus-node-exporter": "prometheus-node-exporter",
}


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@contextmanager
def serving(name: str, log: Path, *arguments: str, ready: str) -> Iterator[str]:
    """Runs a daemon until the end of the block, once its page `ready` answers; yields its address.

    The daemon takes a free port and says which: one chosen here could be another test run's by then.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [unpacked_program(name, PACKAGES[name]), "--web.listen-address=127.0.0.1:0", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            said = wait_until(
                lambda: re.search(r"address=(127\.0\.0\.1:[1-9]\d*)", log.read_text()), f"{name} listens"
            )
            wait_until(lambda: get(f"http://{said[1]}{ready}") is not None, f"{name} answers")
            yield said[1]
        finally:
            process.terminate()
            process.wait(10)


class Monitoring:
    """A Prometheus that scrapes a Pushgateway and a node-exporter, and evaluates the rules every second."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.textfiles = directory / "textfiles"
        self.textfiles.mkdir()
        gateway = stack.enter_context(
            serving(
                "prometheus-pushgateway", directory / "pushgateway.log",
                # Debian's build keeps what was pushed below /var/lib/prometheus, where there is one: another
                # run of these tests would begin with it.
                "--persistence.file=", ready="/-/ready",
            )
        )  # fmt: skip
        exporter = stack.enter_context(
            serving(
                "prometheus-node-exporter", directory / "exporter.log", "--collector.disable-defaults",
                "--collector.textfile", f"--collector.textfile.directory={self.textfiles}", ready="/metrics",
            )
        )  # fmt: skip
        self.pushgateway = f"http://{gateway}"
        # The rules are the ones in deploy/, but for how long a condition must hold.
        rules = yaml.safe_load(RULES.read_text())
        for rule in rules["groups"][0]["rules"]:
            rule["for"] = "1s" if "for" in rule else "0s"
        (directory / "rules.yml").write_text(yaml.safe_dump(rules))
        scrapes = [
            {
                "job_name": "pushgateway",
                "honor_labels": True,
                "static_configs": [{"targets": [gateway]}],
            },
            {"job_name": "node", "static_configs": [{"targets": [exporter]}]},
        ]
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": scrapes,
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        prometheus = stack.enter_context(
            serving(
                "prometheus", directory / "prometheus.log",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}", ready="/-/ready",
            )
        )  # fmt: skip
        self.prometheus = f"http://{prometheus}"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        asked = urllib.parse.urlencode({"query": expression})
        result = json.loads(get(f"{self.prometheus}/api/v1/query?{asked}"))["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def firing(self) -> set[tuple[str, str]]:
        """Name and pipeline of every alert that fires."""
        alerts = json.loads(get(f"{self.prometheus}/api/v1/alerts"))["data"]["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("pipeline", ""))
            for alert in alerts
            if alert["state"] == "firing"
        }


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    with ExitStack() as stack:
        yield Monitoring(tmp_path_factory.mktemp("monitoring"), stack)


def test_a_missed_run_fires_an_alert_in_a_running_prometheus_and_the_next_check_ends_it(
    monitoring: Monitoring,
) -> None:
    notify = Notify(pushgateway=monitoring.pushgateway)
    now = time.time()
    wait_until(lambda: ("RetrainingUnknown", "") in monitoring.firing(), "the alert of no metrics at all")

    assert publish_metrics(notify, "taxi", [make_record(now - 27 * HOUR)], checked=now - 27 * HOUR) == []
    assert publish_metrics(notify, "shop", [make_record(now - 20 * HOUR)], checked=now - HOUR) == []
    wait_until(lambda: ("RetrainingMissed", "taxi") in monitoring.firing(), "the alert of the missed run")
    assert not {alert for alert in monitoring.firing() if alert[1] == "shop"}

    # Found nothing to do: no new run, a new check.
    assert publish_metrics(notify, "taxi", [make_record(now - 27 * HOUR)], checked=time.time()) == []
    wait_until(lambda: ("RetrainingMissed", "taxi") not in monitoring.firing(), "the end of the alert")
    wait_until(lambda: ("RetrainingUnknown", "") not in monitoring.firing(), "the end of the other alert")


def test_what_node_exporter_and_the_pushgateway_hand_on_is_the_same(monitoring: Monitoring) -> None:
    now = time.time()
    drift = [
        Distance("fare", "js", 0.5, 0.1, PREVIOUS, "moved", split="train"),
    ]
    records = [
        make_record(now - 400, status="failed", metrics={}, blessed=False),
        make_record(now - 300, inputs={}),  # Of a part of the graph.
        make_record(now - 200, drift=drift, blessed=False, pushed_model=None),
    ]
    notify = Notify(textfile_directory=str(monitoring.textfiles), pushgateway=monitoring.pushgateway)
    assert publish_metrics(notify, "both", records, checked=now) == []
    assert [path.name for path in monitoring.textfiles.iterdir()] == ["tfx_pipeline_both.prom"]
    wait_until(
        lambda: len(monitoring.query('tfx_pipeline_last_check_timestamp_seconds{pipeline="both"}')) == 2,
        "both ways",
    )
    for expression, expected in {
        "tfx_pipeline_last_check_timestamp_seconds": now,
        "tfx_pipeline_last_success_timestamp_seconds": int(now - 200) + 60,
        'tfx_pipeline_runs_total{status="failed"}': 1,
        'tfx_pipeline_runs_total{status="succeeded"}': 1,
        'tfx_pipeline_step_duration_seconds{step="Trainer",state="executed"}': 40.5,
        'tfx_pipeline_examples{split="train"}': 200,
        'tfx_pipeline_model_metric{metric="auc",slice=""}': 0.94,
        'tfx_pipeline_model_metric{metric="auc",slice=~"payment_type=.*"}': 0.9,
        "tfx_pipeline_model_blessed": 0,
        'tfx_pipeline_drift_distance{feature="fare",split="train",metric="js",against="previous"}': 0.5,
    }.items():
        found = {
            labels["job"]: value
            for labels, value in monitoring.query(expression)
            if labels["pipeline"] == "both"
        }
        assert found == {"node": pytest.approx(expected), "tfx_pipeline": pytest.approx(expected)}, expression
    assert not monitoring.query('tfx_pipeline_pushed_version{pipeline="both"}')
    wait_until(
        lambda: {("ModelNotBlessed", "both"), ("DataDrift", "both")} <= monitoring.firing(), "the two alerts"
    )


def test_a_slice_that_is_gone_is_gone_from_the_pushgateway_too(monitoring: Monitoring) -> None:
    notify = Notify(pushgateway=monitoring.pushgateway)
    now = time.time()
    publish_metrics(notify, "slices", [make_record(now)], checked=now)
    publish_metrics(notify, "slices", [make_record(now, slice_metrics={"day=1": {"auc": 0.5}})], checked=now)
    pushed = [line for line in get(f"{monitoring.pushgateway}/metrics").splitlines() if '"slices"' in line]
    assert [line for line in pushed if 'slice="day=1"' in line]
    assert not [line for line in pushed if "payment_type" in line]


def test_prometheus_finds_nothing_wrong_with_the_names(monitoring: Monitoring) -> None:
    notify = Notify(textfile_directory=str(monitoring.textfiles))
    publish_metrics(notify, "names", [make_record(time.time())], checked=time.time())
    written = (monitoring.textfiles / "tfx_pipeline_names.prom").read_text()
    promtool = unpacked_program("promtool", PACKAGES["promtool"])
    done = subprocess.run(
        [promtool, "check", "metrics"], input=written, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_the_rules_do_what_they_say_and_name_only_metrics_that_are_written(tmp_path: Path) -> None:
    promtool = unpacked_program("promtool", PACKAGES["promtool"])
    tests = RULES.with_name("retraining_test.yml")
    done = subprocess.run(
        [promtool, "test", "rules", str(tests)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert all(f"alertname: {rule['alert']}\n" in tests.read_text() for rule in rules)
    drift = [Distance("fare", "js", 0.5, 0.1, PREVIOUS, "moved")]
    notify = Notify(textfile_directory=str(tmp_path))
    publish_metrics(notify, "taxi", [make_record(1.0, drift=drift)], checked=1.0)
    written = (tmp_path / "tfx_pipeline_taxi.prom").read_text()
    for rule in rules:
        for name in {
            word for word in rule["expr"].replace("(", " ").replace(")", " ").split() if "tfx_" in word
        }:
            assert f"\n{name}{{" in written, name
