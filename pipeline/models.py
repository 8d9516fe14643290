"""The pushed versions: list them, roll back, prune, serve a canary.

    make models                                            # the list
    python -m pipeline.models rollback 1795448868          # makes an older version live
    python -m pipeline.models prune --keep 3               # removes old ones, never the live one
    python -m pipeline.models config --canary 1795450619   # TensorFlow Serving's models.config, labelled

None of this needs TensorFlow or stops a server: versions appear and disappear by one rename.
Exit status: 0 done, 2 wrong arguments.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.pusher.versions import Version, VersionError, list_versions, prune, roll_back
from foundation.arguments import Parser
from foundation.sections import UserError, shorten
from pipeline.workspace import workspace_of


def main(arguments: list[str] | None = None) -> int:
    """Parses and executes the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    workspace = workspace_of(options.workdir, options.dataset)
    directory = workspace.serving
    try:
        if not workspace.root.is_dir() or options.dataset in ("", ".", "..") or "/" in options.dataset:
            raise VersionError(
                f"There is no pipeline '{options.dataset}' in {options.workdir}: correct --dataset or --workdir."
            )
        if options.command == "rollback":
            made = roll_back(directory, options.version)
            print(f"Version {options.version} is live again, as {made.name}.")
        elif options.command == "prune":
            removed = prune(directory, options.keep)
            print(
                f"Removed {len(removed)} version(s){': ' if removed else ''}{', '.join(map(str, removed))}."
            )
        elif options.command == "config":
            versions = list_versions(directory)
            print(
                serving_config(options.dataset, versions, options.canary, options.stable, options.base_path)
            )
        else:
            _show(directory)
    except UserError as error:
        print(shorten(str(error)), file=sys.stderr)
        return 2
    except OSError as error:
        where = shorten(str(error.filename or directory))
        print(f"{where} cannot be changed: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


def serving_config(
    model_name: str, versions: list[Version], canary: int, stable: int | None, base_path: str
) -> str:
    """A `models.config` that serves two versions, labelled `stable` and `canary`.

    Without `stable` it is the newest version below the canary. Clients choose with
    ``/v1/models/NAME/labels/canary:predict`` or `model_spec.version_label`.

    Raises:
      VersionError: If there is no such version, or none below the canary.
    """
    numbers = [version.number for version in versions]
    older = [number for number in numbers if number < canary]
    if stable is None and canary in numbers and not older:
        raise VersionError(f"Version {canary} is the oldest: there is none to call stable beside it.")
    stable = max(older, default=canary) if stable is None else stable
    for number in (canary, stable):
        if number not in numbers:
            known = ", ".join(map(str, numbers)) or "none"
            raise VersionError(f"There is no version {number}; there are: {known}.")
    return "\n".join(
        (
            "model_config_list {",
            "  config {",
            f'    name: "{model_name}"',
            f'    base_path: "{base_path}/{model_name}"',
            '    model_platform: "tensorflow"',
            f"    model_version_policy {{ specific {{ versions: {stable} versions: {canary} }} }}",
            f'    version_labels {{ key: "stable" value: {stable} }}',
            f'    version_labels {{ key: "canary" value: {canary} }}',
            "  }",
            "}",
        )
    )


def _show(directory: Path) -> None:
    versions = list_versions(directory)
    if not versions:
        print(f"No version has been pushed to {directory}.")
        return
    table = Table(title=str(directory), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for column in ("version", "", "pushed (UTC)", "metrics", "code"):
        table.add_column(column, no_wrap=True)
    for version in versions:
        # Whoever can write there can write anything.
        metrics = version.notes.get("metrics")
        shown = [
            f"{name} {value:.4f}"
            for name, value in sorted(metrics.items() if isinstance(metrics, dict) else ())
            if name != "example_count" and isinstance(value, (int, float))
        ]
        if "rolled_back_to" in version.notes:
            shown.insert(0, f"rolled back to {version.notes['rolled_back_to']}")
        pushed = str(version.notes.get("pushed", ""))[:16].replace("T", " ")
        live, code = "live" if version.live else "", str(version.notes.get("code_fingerprint", ""))
        table.add_row(str(version.number), live, pushed, "\n".join(shown), code)
    # Wide enough for every column, also where the output is not a terminal.
    Console(width=max(100, Console().width)).print(table, highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__)
    parser.add_argument("--dataset", default="taxi", help="the pipeline's name (%(default)s)")
    parser.add_argument("--workdir", default="runs", help="where runs are written (%(default)s)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="versions with date, metrics, code, and which is live (the default)")
    rollback = commands.add_parser("rollback", help="make an older version live")
    rollback.add_argument("version", type=int)
    pruning = commands.add_parser("prune", help="remove all but the newest versions")
    pruning.add_argument("--keep", type=int, default=5, help="how many stay (%(default)s)")
    config = commands.add_parser("config", help="print a models.config with a canary label")
    config.add_argument("--canary", type=int, required=True, metavar="VERSION")
    config.add_argument(
        "--stable", type=int, metavar="VERSION", help="the version beside it (the newest below the canary)"
    )
    config.add_argument("--base-path", default="/models", help="where servers see the models (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
