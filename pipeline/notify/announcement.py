"""Announces runs on the channels that the profile configures; a failed notification never fails the run."""

import os
import time
from collections.abc import Sequence

from pipeline.config import Config
from pipeline.notify.channel import News
from pipeline.notify.settings import NOTIFY_SECTION
from pipeline.runs.run import Run, read_runs, whole_runs
from pipeline.workspace import Workspace


def announce(
    config: Config, workspace: Workspace, runs: Sequence[Run], *, is_current: bool = False
) -> list[str]:
    """Notifies every channel of `runs`, which have just ended, and of all runs so far.

    Runs of a part of the graph are experiments, and not announced: nor do they count as a check.

    Args:
      config: Says which channels.
      workspace: Has the runs so far.
      runs: None where nothing was run.
      is_current: As in `News`.

    Returns:
      A sentence for each notification that failed. Nothing is raised.
    """
    if config.notify == NOTIFY_SECTION():
        return []
    ended = whole_runs(runs)
    if runs and not ended:
        return []
    news = News(config.name, ended, read_runs(workspace), time.time(), os.environ, is_current)
    return config.notify.send(news)
