"""Tells whom the profile names of runs; the one entry point, which loads nothing where nobody is named."""

import os
import time
from collections.abc import Sequence

from pipeline.config import Config
from pipeline.notify.settings import Notify
from pipeline.runs.run import Run, read_runs, whole_runs
from pipeline.workspace import Workspace


def announce(config: Config, workspace: Workspace, runs: Sequence[Run]) -> list[str]:
    """Publishes the metrics, and sends a message for each of `runs` with which something is wrong.

    Runs of a part of the graph are somebody's experiments: nobody is told of them.

    Returns:
      A sentence for whatever was not reached. Nothing is raised: a failed notification never fails the run.
    """
    if config.notify == Notify():
        return []
    # Here and not above: who names nobody does not wait for the client's import.
    from pipeline.notify import delivery

    try:
        return [
            *delivery.publish_metrics(config.notify, config.name, read_runs(workspace), time.time()),
            *delivery.send_messages(config.notify, whole_runs(runs), os.environ),
        ]
    except (Exception, KeyboardInterrupt) as error:
        return [f"nobody was told of the run ({type(error).__name__}: {error})."]
