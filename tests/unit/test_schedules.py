"""The unit files, the crontab and the CronJob in deploy/retrain, held against what reads them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import config, retrain
from pipeline.config import ROOT

SCHEDULES = ROOT / "deploy" / "retrain"
INSTALLED = "/opt/tfx-pipeline"


def unit(name: str, directory: Path) -> Path:
    """A unit file as systemd sees it, with the interpreter of these tests in the place of the installed one."""
    text = (SCHEDULES / name).read_text().replace(f"{INSTALLED}/.venv/bin/python", sys.executable)
    path = directory / name.replace("@.", "@taxi.")
    path.write_text(text)
    return path


def options(command: str) -> list[str]:
    """What the command line gives to `pipeline.retrain`, on a directory of its own."""
    _, found, arguments = command.partition(" -m pipeline.retrain ")
    assert found
    return arguments.replace("%i", "taxi").split()


def dry_run(arguments: list[str], workdir: Path) -> subprocess.CompletedProcess[str]:
    given = [f"--workdir={workdir}" if "/var/lib" in each or "/mnt" in each else each for each in arguments]
    given = [each for each in given if each != "--workdir"]
    return subprocess.run(
        [sys.executable, "-m", "pipeline.retrain", *given, "--dry-run"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong_with_service_and_timer(tmp_path: Path) -> None:
    files = [unit(name, tmp_path) for name in ("tfx-retrain@.service", "tfx-retrain@.timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    calendar = re.search(r"^OnCalendar=(.*)$", files[1].read_text(), re.M)
    assert calendar
    subprocess.run(["systemd-analyze", "calendar", calendar.group(1)], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_does_find_a_mistake(tmp_path: Path) -> None:
    path = unit("tfx-retrain@.service", tmp_path)
    path.write_text(path.read_text().replace("Type=oneshot", "Type=oneshoot"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert "oneshoot" in done.stderr


def test_the_service_starts_a_command_that_there_is_and_knows_its_exit_statuses(tmp_path: Path) -> None:
    text = (SCHEDULES / "tfx-retrain@.service").read_text()
    command = re.search(r"^ExecStart=(.*)$", text, re.M)
    statuses = re.search(r"^SuccessExitStatus=(.*)$", text, re.M)
    assert command and statuses
    done = dry_run(options(command.group(1)), tmp_path)
    assert done.returncode == 0 and "Would train" in done.stdout, done.stderr
    successes = [retrain.NOT_BLESSED, retrain.TRY_LATER, retrain.PREEMPTED]
    assert statuses.group(1).split() == [str(status) for status in successes]


def test_the_crontab_has_one_line_that_cron_and_the_shell_can_read(tmp_path: Path) -> None:
    lines = (SCHEDULES / "tfx-retrain.cron").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]+=", line))
    (line,) = [line for line in lines if line and line[0] in "0123456789*"]
    *times, user, command = line.split(maxsplit=6)
    assert len(times) == 5 and all(re.fullmatch(r"\*|\d+", each) for each in times)
    # cron would read it as the end of the line.
    assert user == "tfx" and "%" not in command
    subprocess.run([settings["SHELL"], "-n", "-c", command], check=True)
    arguments = options(command.partition(" >")[0])
    done = dry_run(arguments, tmp_path)
    assert done.returncode == 0 and "Would train" in done.stdout, done.stderr


def documents() -> tuple[dict[str, Any], dict[str, Any]]:
    configuration, job = yaml.safe_load_all((SCHEDULES / "cronjob.yaml").read_text())
    return configuration, job


def test_the_cron_job_never_overlaps_and_repeats_only_what_may_end_otherwise() -> None:
    _, job = documents()
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    policy = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][1]
    assert policy["onExitCodes"]["values"] == [
        retrain.MISCONFIGURED, retrain.NOT_BLESSED, retrain.DATA_REFUSED,
    ]  # fmt: skip
    # A pod failure policy asks for this.
    assert job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_cron_jobs_profile_and_arguments_are_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration, job = documents()
    (tmp_path / "nightly.toml").write_text(
        configuration["data"]["nightly.toml"]
        .replace("/opt/pipeline", str(ROOT))
        .replace("# webhook", "webhook")
    )
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    arguments = [each.replace("/etc/tfx-pipeline", str(tmp_path)) for each in container["args"]]
    loaded = config.load("taxi", str(tmp_path / "nightly.toml"))
    variables = [each["name"] for each in container["env"]]
    assert loaded.notify.pushgateway and loaded.notify.webhook_variable in variables
    monkeypatch.setenv("TFX_WEBHOOK", "http://hooks.example.com/x")
    done = dry_run(arguments, tmp_path)
    assert done.returncode == 0 and "Would train" in done.stdout, done.stderr


def test_the_cron_job_mounts_what_it_names() -> None:
    configuration, job = documents()
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    (config_map,) = [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each]
    assert config_map == configuration["metadata"]["name"]
    claims = {
        each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"] if "configMap" not in each
    }
    made = yaml.safe_load_all((ROOT / "deploy" / "volumes.yaml").read_text())
    assert claims == {each["metadata"]["name"] for each in made}
    (policy,) = [each for each in pod["containers"] if each["name"] == "retrain"]
    names = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["containerName"]
    assert policy["name"] == names
