"""Tells whom the profile names of runs; the one entry point, which loads nothing where nobody is named."""

import os
import time
from collections.abc import Sequence

from pipeline.config import Config
from pipeline.notify.settings import Notify
from pipeline.runs import history
from pipeline.runs.history import Record
from pipeline.workspace import Workspace


def announce(config: Config, workspace: Workspace, runs: Sequence[Record]) -> list[str]:
    """Publishes the metrics, and sends a message for each of `runs` with which something is wrong.

    Runs of a part of the graph are somebody's experiments: nobody is told of them.

    Returns:
      A sentence for whatever was not reached. Nothing is raised: a run does not fail of being told of.
    """
    if config.notify == Notify():
        return []
    # Here and not above: who names nobody does not wait for the client's import.
    from pipeline.notify import delivery

    try:
        records = history.read_records(workspace)
        return [
            *delivery.publish_metrics(config.notify, config.name, records, time.time()),
            *delivery.send_messages(config.notify, history.whole_runs(runs), os.environ),
        ]
    except (Exception, KeyboardInterrupt) as error:
        return [f"nobody was told of the run ({type(error).__name__}: {error})."]
