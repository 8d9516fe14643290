"""Past runs by what a person calls them."""

import re
from collections.abc import Sequence
from pathlib import Path

from foundation.sections import ConfigurationError
from pipeline.runs.run import StoredRun, read_runs
from pipeline.workspace import Workspace


def find_runs(workdir: Path, dataset: str | None = None) -> list[StoredRun]:
    """Every run below `workdir`, of one pipeline or of all, the oldest first.

    A file that is no run is left out: a run may be writing it.
    """
    if dataset is not None and not re.fullmatch(r"[a-z0-9-]+", dataset):
        raise ConfigurationError(
            f"--dataset {dataset!r} is no pipeline's name: give one of those in {workdir}."
        )
    ordered: list[tuple[str, StoredRun]] = []
    for folder in sorted(workdir.glob(f"{dataset or '*'}/runs")):
        root = folder.parent.absolute()
        until = ""
        for run in reversed(read_runs(Workspace(root, root.name))):
            # The name is the date that the clock had: a run began no later than the one after it.
            until = min(run.run_id, until or run.run_id)
            ordered.append((until, StoredRun(run.run_id, root, run)))
    return [
        run for _, run in sorted(ordered, key=lambda each: (each[0], str(each[1].root), each[1].run.sequence))
    ]


def choose(runs: Sequence[StoredRun], name: str) -> StoredRun:
    """The run that `name` means: an id, a unique beginning of one, `latest`, or `latest~N`.

    Raises:
      ConfigurationError: If none is meant, or several.
    """
    if not runs:
        raise ConfigurationError("There are no runs yet: `make run` makes one, or give --workdir.")
    latest = re.fullmatch(r"latest(?:~([0-9]{1,9}))?", name)
    if latest:
        back = int(latest.group(1) or 0)
        if back >= len(runs):
            raise ConfigurationError(f"There is no run {name}: there are {len(runs)}; see `make runs`.")
        return runs[-1 - back]
    meant = [run for run in runs if run.id == name] or [run for run in runs if run.id.startswith(name)]
    if not name or not meant:
        raise ConfigurationError(f"There is no run '{name}': `make runs` lists {len(runs)} of them.")
    if len(meant) > 1:
        shown = ", ".join(run.id for run in meant[:5])
        raise ConfigurationError(f"'{name}' is the beginning of {len(meant)} runs: {shown}; give more of it.")
    return meant[0]
