"""Runs the pipeline on this machine.

    python local_runner.py                                  # taxi, on a laptop
    python local_runner.py --dataset my_table --set training.epochs=3
    python local_runner.py --from Trainer --set model.hidden_units=[64]

Exit status: 0 the run finished (also when the model was not blessed), 1 a step or a gate failed,
2 wrong arguments or configuration, 143 told to stop by SIGTERM.
"""

import argparse
import signal
import sys

from foundation.arguments import Parser
from foundation.process import exit_at_once
from foundation.sections import ConfigurationError
from pipeline import config, workspace
from pipeline.running import local, preflight
from pipeline.running.failure import explain
from pipeline.running.request import Request, command_of
from trainer_module.distribution.preemption import PREEMPTED


def main(arguments: list[str] | None = None) -> int:
    """Parses, checks, runs; returns the exit status."""
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    command = command_of(["python", "local_runner.py"], given)
    request = Request(
        options.from_node, options.to_node, not options.no_cache, options.verbose, command=command
    )
    try:
        loaded = config.load(options.dataset, options.profile, options.set)
        files = workspace.workspace_of(options.workdir, loaded.name)
        if options.dry_run:
            preflight.check_place(files)
            source = local.check(loaded, request)
            window = preflight.find_window(loaded, source)
            spans = (
                f", spans {window.spans[0].name} to {window.newest.name}" if loaded.source.has_spans else ""
            )
            print(
                f"Would run {', '.join(node for node in request.selected if node in loaded.nodes)}\non {source}{spans}, into {files.root}"
            )
            return 0
        summary = local.run(loaded, files, request)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        if options.verbose:
            raise
        return 2
    except Exception as error:
        # Whatever it is: a person gets a sentence, and the traceback where they ask for it.
        print(explain(error), file=sys.stderr)
        if options.verbose:
            raise
        return 1
    if summary.error:
        print(summary.error, file=sys.stderr)
    if summary.stop_signal == signal.SIGTERM:
        return PREEMPTED
    return 0 if summary.status == "succeeded" else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    add("--profile", default="laptop", help="name in profiles/, or a TOML file (%(default)s)")
    add("--workdir", default="runs", help="where everything is written (%(default)s)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting")
    add("--from", dest="from_node", metavar="NODE", help="re-use what earlier nodes made")
    add("--to", dest="to_node", metavar="NODE", help="stop after this node")
    add("--no-cache", action="store_true", help="run every node")
    add("--dry-run", action="store_true", help="check everything, run nothing")
    add("--verbose", action="store_true", help="show library logs and tracebacks")
    return parser


if __name__ == "__main__":
    exit_at_once(main())
