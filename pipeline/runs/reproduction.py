"""How to reproduce a local run: commit, command, versions, and every setting."""

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from components.run_report.document import Reproduction
from foundation import project
from pipeline.config import Config
from pipeline.runs.run import Run
from pipeline.workspace import Workspace
from trainer_module.settings import Settings

_PACKAGES = ("tfx", "tensorflow", "tf-keras", "apache-beam", "ml-metadata")
# Of the configuration: what the page names anyway, what only a cluster reads, where runs are recorded, and who hears of
# them, whose addresses may be secrets.
_NOT_SHOWN = (
    "name",
    "profile",
    "dataset_file",
    "compared_columns",
    "kubeflow",
    "steps",
    "metadata",
    "notify",
)


def reproduction(run: Run, config: Config, workspace: Workspace) -> Reproduction:
    """What it takes to reproduce the run."""
    commit = _commit()
    facts = (
        ("dataset", str(config.dataset_file)),
        ("profile", config.profile),
        ("code fingerprint", run.code),
        ("commit", commit or "not a git checkout"),
        ("work directory", str(workspace.root)),
        ("Python", f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"),
        ("packages", ", ".join([f"{project.NAME} {project.version()}", *_versions()])),
    )
    commands = [f"git checkout {commit.split()[0]}"] if commit else []
    return Reproduction((*commands, run.command), facts, tuple(settings_of(config)))


def settings_of(config: Config) -> list[str]:
    """Every setting that the run had, a line each."""
    tables: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if isinstance(value, Settings):
            tables |= value.to_json()
        elif each.name == "gates":
            tables["gates"] = {metric: _given(asdict(gate)) for metric, gate in value.items()}
        elif each.name == "metrics":
            tables["metrics"] = {
                name: {"kind": metric.path, **metric.options} if metric.options else metric.path
                for name, metric in value.items()
            }
        elif each.name not in _NOT_SHOWN:
            tables[each.name] = value if isinstance(value, dict) else asdict(value)
    return [
        f"{section}.{key} = {json.dumps(value, default=str, ensure_ascii=False)}"
        for section, table in tables.items()
        for key, value in _given(table).items()
    ]


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{package} {metadata.version(package)}"


def _commit() -> str:
    """The commit of this checkout or project, and whether files differ from it; "" where it is none."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=project.ROOT, capture_output=True, text=True, check=False, timeout=5
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        # A copy of the project inside some other repository is not that repository's commit.
        if Path(git("rev-parse", "--show-toplevel") or "/").resolve() != project.ROOT:
            return ""
        head = git("rev-parse", "HEAD")
        return f"{head} with uncommitted changes" if head and git("status", "--porcelain") else head
    except (OSError, subprocess.TimeoutExpired):
        return ""
