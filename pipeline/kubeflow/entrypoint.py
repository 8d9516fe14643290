"""What each step's container runs on Kubeflow Pipelines; the compiled specification calls it.

    python -m pipeline.kubeflow.entrypoint --executor_class_path … --json_serialized_invocation_args …

TFX's own entrypoint does the work, in this process, between two translations (`translation`). A
retry starts from nothing and ends in the same place. Exit status: 0 the step is done, 1 it failed.
"""

import argparse
import importlib
import json
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from foundation.process import exit_at_once, without_collection
from foundation.replacing import replace_file
from pipeline.kubeflow import translation, wire_format
from pipeline.kubeflow.translation import Document
from pipeline.running.failure import explain, find_user_error

LOCAL_ROOT = "KUBEFLOW_LOCAL_ROOT"
"""Environment variable: the directory that stands for "/" where a test runs KFP's launcher."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one step; returns the exit status."""
    options, beam_arguments = _parser().parse_known_args(arguments)
    try:
        run(options, beam_arguments, os.environ.get(LOCAL_ROOT, "").rstrip("/") + "/")
    except Exception as error:
        if find_user_error(error) is None:
            traceback.print_exc()
        # The step's last line, but not the pod's: KFP's launcher and Argo add more to the log, down to
        # "Error: exit status 1". People search it for "<step> failed", so that begins a line.
        print(f"{options.node_id} failed: {explain(error)}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace, beam_arguments: list[str], root: str) -> None:
    """Runs one step.

    Args:
      options: The arguments of `_parser`.
      beam_arguments: All others.
      root: The directory that stands for "/", with a slash at its end.

    Raises:
      ConfigurationError: If an input is missing, or an artifact is in a store that is not transferred.
      Exception: Whatever the component raises.
    """
    given = json.loads(options.json_serialized_invocation_args)
    inputs_spec = json.loads(options.json_serialized_inputs_spec_args)
    outputs_spec = json.loads(options.json_serialized_outputs_spec_args)
    adapted = translation.adapt_input(given, inputs_spec, outputs_spec, root, _settings())
    adapted = translation.without_absent(adapted, _present(adapted), options.optional_input)
    outputs = [
        Path(artifact["uri"])
        for listed in adapted["outputs"]["artifacts"].values()
        for artifact in listed["artifacts"]
    ]
    for directory in outputs:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    beam_arguments = [wire_format.unescape(text) for text in beam_arguments]
    if options.shared_directory:
        written = _run_with_workers_elsewhere(options, beam_arguments, adapted)
    else:
        with tempfile.TemporaryDirectory(prefix=f"{options.node_id}-") as scratch:
            written = _run_executor_in(Path(scratch), options, beam_arguments, adapted)
    for directory in outputs:
        _resolve_links(directory)
    for key in options.file_output:
        _become_file(Path(adapted["outputs"]["artifacts"][key]["artifacts"][0]["uri"]))
    result = translation.adapt_output(written, given, root)
    replace_file(Path(root + given["outputs"]["outputFile"].lstrip("/")), json.dumps(result))


def _run_with_workers_elsewhere(
    options: argparse.Namespace, beam_arguments: list[str], adapted: Document
) -> Document:
    # Here and not above: most steps have no such workers.
    from pipeline.kubeflow.sharing import sharing

    directory = Path(wire_format.unescape(options.shared_directory))
    pools = wire_format.unescape(options.worker_pools)
    with sharing(directory, options.node_id, adapted, beam_arguments, pools) as shared:
        return shared.restore(_run_executor_in(shared.folder, options, shared.arguments, shared.adapted))


def _run_executor_in(
    scratch: Path, options: argparse.Namespace, beam_arguments: list[str], adapted: Document
) -> Document:
    """What TFX writes of the step."""
    # TFX puts Beam's files beside it.
    output_file = scratch / options.node_id / "executor_output.json"
    output_file.parent.mkdir()
    adapted["outputs"]["outputFile"] = str(output_file)
    _run_executor(options, beam_arguments, adapted)
    return json.loads(output_file.read_text())


def _run_executor(options: argparse.Namespace, beam_arguments: list[str], adapted: Document) -> None:
    # Here and not above: importing TFX takes seconds, and a missing input is reported at once.
    with without_collection():
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

        importlib.import_module(options.executor_class_path.rpartition(".")[0])

    # `absl.app` is not running, so absl would hold back TFX's messages, and the trainer's go to
    # Python's own root logger.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    for_tfx = argparse.Namespace(
        executor_class_path=options.executor_class_path,
        json_serialized_invocation_args=json.dumps(adapted),
        json_serialized_inputs_spec_args=options.json_serialized_inputs_spec_args,
    )
    kubeflow_v2_run_executor.main((for_tfx, beam_arguments))


def _settings() -> dict[str, str]:
    """Takes the large settings out of the environment, which every child process would inherit."""
    names = [name for name in os.environ if name.startswith(wire_format.VARIABLE)]
    return {name: os.environ.pop(name) for name in names}


def _present(adapted: Document) -> set[str]:
    """Input keys whose artifacts all have at least one file here."""
    return {
        key
        for key, listed in adapted["inputs"]["artifacts"].items()
        if all(_has_files(Path(artifact["uri"])) for artifact in listed["artifacts"])
    }


def _has_files(path: Path) -> bool:
    return path.is_file() or any(entry.is_file() for entry in path.rglob("*"))


def _resolve_links(directory: Path) -> None:
    """Replaces links by what they point to: the launcher would upload a linked directory as one file."""
    for path in list(directory.rglob("*")):
        if path.is_symlink():
            target = path.resolve(strict=True)
            path.unlink()
            if target.is_dir():
                shutil.copytree(target, path)
            else:
                shutil.copyfile(target, path)


def _become_file(directory: Path) -> None:
    """Replaces a directory by the one file in it: KFP's page shows an artifact only if it is a file itself."""
    (file,) = directory.iterdir()
    beside = directory.with_name(f".{directory.name}.unfinished")
    os.replace(file, beside)
    directory.rmdir()
    os.replace(beside, directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--executor_class_path", required=True, help="import path of the TFX executor")
    parser.add_argument("--json_serialized_invocation_args", required=True, help="KFP's ExecutorInput")
    parser.add_argument("--json_serialized_inputs_spec_args", required=True, help="the inputDefinitions")
    parser.add_argument("--json_serialized_outputs_spec_args", default="{}", help="the outputDefinitions")
    parser.add_argument("--optional_input", action="append", default=[], help="may hold nothing; repeatable")
    parser.add_argument(
        "--file_output", action="append", default=[], help="an output that is one file; repeatable"
    )
    parser.add_argument("--shared_directory", default="", help="where Beam's workers elsewhere see artifacts")
    parser.add_argument("--worker_pools", default="", help="host:port of the pools of such workers")
    parser.add_argument("--node_id", required=True, help="for logs, and to tell equal containers apart")
    parser.add_argument("--code_version", help="for KFP's cache key alone")
    return parser


if __name__ == "__main__":
    exit_at_once(main())
