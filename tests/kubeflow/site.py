"""A cluster's volumes, and the files that describe a dataset and a profile for it."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import config
from pipeline.config import ROOT, Config


@dataclass(frozen=True)
class Site:
    """A cluster's volumes and the files that describe it."""

    directory: Path
    name: str = "taxi"
    """Of the dataset."""

    @property
    def dataset(self) -> Path:
        return self.directory / f"{self.name}.toml"

    @property
    def profile(self) -> Path:
        return self.directory / "test-cluster.toml"

    @property
    def data(self) -> Path:
        """What ExampleGen finds mounted."""
        return self.directory / "volumes" / "data" / self.name

    @property
    def serving(self) -> Path:
        """Where the Pusher puts versions."""
        return self.directory / "volumes" / "models" / self.name / "serving" / self.name

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.serving.glob("[0-9]*"))

    def put_spans(self, *days: int) -> None:
        """Adds a hundred rows of the table as the span of each of these days of January 2026."""
        header, *rows = (self.data / "first.csv").read_text().splitlines()
        for day in days:
            span = self.data.parent / "daily" / f"2026-01-{day:02}" / "trips.csv"
            span.parent.mkdir(parents=True)
            span.write_text("\n".join([header, *rows[100 * day : 100 * day + 100]]) + "\n")

    def write_profile(self) -> None:
        """Of a cluster that mounts the volumes."""
        volumes = self.directory / "volumes"
        self.profile.write_text(
            f"""extends = "{ROOT}/profiles/laptop.toml"
[kubeflow]
image = "registry.example.com/tfx-pipeline:test"
data_directory = "{volumes}/data"
models_directory = "{volumes}/models"
volumes = {{ data = "{volumes}/data", models = "{volumes}/models" }}
"""
        )

    def load(self, *overrides: str) -> Config:
        return config.load(str(self.dataset), str(self.profile), overrides)

    def compile(
        self, output: Path, *overrides: str, hash_seed: str = "0", flags: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubeflow_runner.py, from a directory that is not the repository."""
        command = [
            sys.executable, ROOT / "kubeflow_runner.py", "--dataset", self.dataset, "--profile", self.profile,
            "--output", output, *flags, *(part for text in overrides for part in ("--set", text)),
        ]  # fmt: skip
        environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": hash_seed, "HOME": str(self.directory)}
        return subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False
        )
