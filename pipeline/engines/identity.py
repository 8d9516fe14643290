"""What a worker must have in common with the run whose pipelines it works for."""

import dataclasses
import json
import platform
from importlib.metadata import version

from foundation import project
from pipeline.fingerprint import fingerprint

SERVICE, METHOD = "tfx_pipeline.WorkerPool", "Describe"
"""What a pool answers besides Beam's own service: JSON in, JSON out, see `pipeline.engines.worker_pool`."""


@dataclasses.dataclass(frozen=True)
class Identity:
    """Of a process: functions are pickled by one and unpickled by the other, with all that they import.

    Attributes:
      python: Major and minor version, as pickles of functions hold byte code.
      beam: Version of Apache Beam.
      project: A hash of all Python files of this package, and of those that a project has in folders of the same names.
    """

    python: str
    beam: str
    project: str

    def to_json(self) -> str:
        """For the wire."""
        return json.dumps(dataclasses.asdict(self))


def identify() -> Identity:
    """This process's."""
    files = [
        str(path)
        for place in dict.fromkeys((project.PACKAGE, project.ROOT))
        for package in sorted(project.PACKAGES)
        for path in sorted((place / package).rglob("*.py"))
    ]
    python = ".".join(platform.python_version_tuple()[:2])
    return Identity(python, version("apache-beam"), fingerprint(project.PACKAGE, files=files))
