"""What the command line asks of one run, besides its configuration."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.nodes import NODES
from pipeline.workspace import Workspace

_HIDDEN = "***"


def command_of(program: Sequence[str], arguments: Sequence[str]) -> str:
    """A command line as records and reports may show it: without a webhook's URL, whose path is its password."""
    return shlex.join([*program, *map(hide_secrets, arguments)])


def hide_secrets(argument: str) -> str:
    """An argument without a webhook's URL, and what follows it."""
    return re.sub(r"(notify\s*\.\s*webhook\s*=).*", rf"\1{_HIDDEN}", argument, flags=re.DOTALL)


@dataclass(frozen=True)
class Request:
    """A run of the nodes from `from_node` to `to_node`, both included.

    `command` is as it was given (`command_of`), so that a report can say how to run it again.
    """

    from_node: str | None = None
    to_node: str | None = None
    cache: bool = True
    verbose: bool = False
    notes: tuple[str, ...] = ()
    command: str = ""

    @property
    def selected(self) -> tuple[str, ...]:
        """The nodes to run."""
        first = NODES.index(self.from_node) if self.from_node else 0
        last = NODES.index(self.to_node) if self.to_node else len(NODES) - 1
        return NODES[first : last + 1]

    @property
    def is_partial(self) -> bool:
        """Whether some node is left out."""
        return len(self.selected) < len(NODES)

    def check(self, config: Config) -> None:
        """Refuses node names that the graph lacks, and ranges that are empty.

        Raises:
          ConfigurationError: With the names that exist, or the setting that puts a node into the graph.
        """
        for flag, node in (("--from", self.from_node), ("--to", self.to_node)):
            if node is not None and node not in NODES:
                raise ConfigurationError(
                    f"{flag} {node}: there is no such node; the nodes are {', '.join(NODES)}."
                )
        if not self.selected:
            raise ConfigurationError(f"--from {self.from_node} comes after --to {self.to_node}: swap them.")
        if "AppExporter" in (self.from_node, self.to_node) and not config.app.formats:
            raise ConfigurationError(
                "AppExporter has nothing to make: name what, for example --set 'app.formats=[\"float32\"]'."
            )

        if "Tuner" in (self.from_node, self.to_node) and not config.tuning.is_wanted:
            raise ConfigurationError(
                "Tuner has nothing to tune: name what in [tuning.space], for example --set "
                "'tuning.space.training.learning_rate={min=0.0001,max=0.1,scale=\"log\"}', and leave [tuning] on."
            )

    def check_first_run(self, workspace: Workspace) -> None:
        """Refuses to start in the middle of the graph where there is no earlier run.

        Raises:
          ConfigurationError: With what to do first.
        """
        if self.from_node not in (None, NODES[0]) and not workspace.metadata.exists():
            raise ConfigurationError(
                f"--from {self.from_node} needs the outputs of an earlier run, and {workspace.root} has "
                "none: run once without --from."
            )
