"""One retraining, for a scheduler: cron, a systemd timer, a Kubernetes CronJob.

    python -m pipeline.retrain --dataset taxi --workdir /var/lib/tfx-pipeline
    python -m pipeline.retrain --dataset taxi --dry-run          # is there anything to do?

Trains where data, code or configuration differ from what the last successful run used, and ends at once,
without loading TFX, where they do not. Two never run at the same time. A run that was killed is recorded
as such by the next one, which then starts where it stopped.

Exit status:
  0   trained and pushed, or there was nothing to do
  1   a step failed
  2   wrong arguments or configuration
  3   trained, but not blessed: the model before stays live
  65  the data is missing, cannot be read, or was refused by the data gate (EX_DATAERR)
  75  not done, try again later: another run has the workspace, this one was interrupted, or Flink, a
      worker pool or ML Metadata's database does not answer (EX_TEMPFAIL)
  143 told to stop by SIGTERM; the next one starts where it stopped
"""

import argparse
import dataclasses
import os
import signal
import sys
from pathlib import Path

from foundation.arguments import Parser
from foundation.lock import LockedError, locked
from foundation.process import exit_at_once
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.engines.unavailable import EngineUnavailable
from pipeline.notify.announcement import announce
from pipeline.running import inputs, local, preflight
from pipeline.running.beginning import recording_refusal
from pipeline.running.failure import explain, is_interruption
from pipeline.running.request import Request, command_of
from pipeline.runs.run import SUCCEEDED, Run, last_success, read_runs
from pipeline.workspace import Workspace, workspace_of
from trainer_module.distribution.preemption import PREEMPTED

STEP_FAILED = 1
MISCONFIGURED = 2
NOT_BLESSED = 3
DATA_REFUSED = os.EX_DATAERR
TRY_LATER = os.EX_TEMPFAIL

_DATA_NODES = ("ExampleGen", "DataGate")


def main(arguments: list[str] | None = None) -> int:
    """Parses, decides, runs; returns the exit status."""
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    command = command_of(["python", "-m", "pipeline.retrain"], given)
    try:
        loaded = config.load(options.dataset, options.profile, options.set)
        workspace = workspace_of(options.workdir, loaded.name, loaded.metadata)
        request = Request(verbose=options.verbose, command=command)
        if options.dry_run:
            preflight.check_place(workspace)
            source = local.check(loaded, request)
            reason = find_reason(loaded, workspace, source)
            print(f"Would train: {reason}." if reason else _nothing(loaded, workspace))
            return os.EX_OK
        preflight.check_workspace(workspace)
        with locked(workspace.lock, options.wait):
            return _retrain(loaded, workspace, request)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        if options.verbose:
            raise
        later, refused = (LockedError, EngineUnavailable), preflight.DataError
        return (
            TRY_LATER
            if isinstance(error, later)
            else DATA_REFUSED
            if isinstance(error, refused)
            else MISCONFIGURED
        )
    except (Exception, KeyboardInterrupt) as error:
        print(explain(error), file=sys.stderr)
        if options.verbose:
            raise
        return TRY_LATER if is_interruption(error) else STEP_FAILED


def find_reason(loaded: config.Config, workspace: Workspace, source: Path) -> str:
    """Why a run is due, in words; empty where nothing has changed since the last one that succeeded."""
    success = last_success(read_runs(workspace))
    if success is None:
        return "no run has succeeded yet"
    now = inputs.read_inputs(loaded, inputs.read_data(loaded, workspace, source))
    changed = inputs.describe_change(now, success.inputs)
    return f"{changed} changed since run {success.run_id}" if changed else ""


def exit_status(run: Run) -> int:
    """The exit status for a run."""
    if run.status == SUCCEEDED:
        return os.EX_OK if run.blessed else NOT_BLESSED
    if run.stop_signal == signal.SIGTERM:
        return PREEMPTED
    if run.interrupted:
        return TRY_LATER
    failed = [node.id for node in run.nodes if node.state == "failed"]
    return DATA_REFUSED if failed and failed[0] in _DATA_NODES else STEP_FAILED


def _retrain(loaded: config.Config, workspace: Workspace, request: Request) -> int:
    notes = local.settle_killed(loaded, workspace)
    for note in notes:
        print(note, file=sys.stderr)
    with recording_refusal(loaded, workspace, request):
        source = local.check(loaded, request)
        reason = find_reason(loaded, workspace, source)
    if not reason:
        print(_nothing(loaded, workspace))
        for warning in announce(loaded, workspace, [], is_current=True):
            print(f"warning: {warning}", file=sys.stderr)
        return os.EX_OK
    print(f"Training: {reason}.", flush=True)
    request = dataclasses.replace(request, notes=(f"trained because {reason}", *notes))
    run = local.run_locked(loaded, workspace, request, source)
    if run.error:
        print(run.error, file=sys.stderr)
    return exit_status(run)


def _nothing(loaded: config.Config, workspace: Workspace) -> str:
    success = last_success(read_runs(workspace))
    run = success.run_id if success else ""
    return (
        f"Nothing to do for {loaded.name}: data, code and configuration are as in run {run} "
        "(python local_runner.py runs all the same)."
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipeline.retrain", description=__doc__)
    add = parser.add_argument
    add("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    add("--profile", default="laptop", help="name in profiles/, or a TOML file (%(default)s)")
    add("--workdir", default="runs", help="where everything is written (%(default)s)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting")
    add(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="for a run that is there already (%(default)s)",
    )
    add("--dry-run", action="store_true", help="say whether there is anything to do, run nothing")
    add("--verbose", action="store_true", help="show library logs and tracebacks")
    return parser


if __name__ == "__main__":
    exit_at_once(main())
