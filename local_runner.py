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
from pipeline.running.failure import explain
from pipeline.running.request import command_of
from pipeline.session import RunError, load
from trainer_module.distribution.preemption import PREEMPTED


def main(arguments: list[str] | None = None) -> int:
    """Parses, checks, runs; returns the exit status."""
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    command = command_of(["python", "local_runner.py"], given)
    nodes = {"from_node": options.from_node, "to_node": options.to_node}
    try:
        session = load(options.dataset, options.profile, options.workdir, options.set)
        if options.dry_run:
            print(session.plan(**nodes))
        else:
            session.run(**nodes, cache=not options.no_cache, verbose=options.verbose, command=command)
    except RunError as error:
        print(error, file=sys.stderr)
        return PREEMPTED if error.result.run.stop_signal == signal.SIGTERM else 1
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        if options.verbose:
            raise
        return 2
    except (Exception, KeyboardInterrupt) as error:
        # Whatever it is: a person gets a sentence, and the traceback where they ask for it.
        print(explain(error), file=sys.stderr)
        if options.verbose:
            raise
        return 1
    return 0


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
