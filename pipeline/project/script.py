"""What the runners of a project do: run the package's own, as if they lay there."""

import runpy
import sys

from foundation import project
from foundation.sections import ConfigurationError


def run(name: str) -> None:
    """Runs `name`, ``local_runner.py`` or ``kubeflow_runner.py``, with this process's arguments; ends the process."""
    try:
        # Here too, as a folder that hides the package's would fail the runner's imports.
        project.check_rooms()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    runpy.run_path(str(project.PACKAGE / name), run_name="__main__")
