"""Compiles the pipeline for Kubeflow Pipelines 2.x.

    python kubeflow_runner.py                                    # taxi, on a cluster, to pipeline.yaml
    python kubeflow_runner.py --set kubeflow.image=registry.example.com/tfx-pipeline@sha256:...

Exit status: 0 done, 1 the server refused or did not answer, 2 wrong arguments or configuration.
"""

import argparse
import sys
from pathlib import Path

from pipeline import config
from pipeline.kubeflow import compile
from trainer_module.sections import ConfigurationError


def main(arguments: list[str] | None = None) -> int:
    """Parses, checks, compiles; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        loaded = config.load(options.dataset, options.profile, options.set)
        compile.require_cluster(loaded)
        if options.dry_run:
            print(f"Would compile {loaded.name} with the profile {loaded.profile} to {options.output}")
            return 0
        compile.write(compile.compile_pipeline(loaded), Path(options.output))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        if options.verbose:
            raise
        return 2
    print(f"Compiled {loaded.name} to {options.output} ({Path(options.output).stat().st_size // 1024} KiB)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    parser.add_argument(
        "--profile", default="cluster", help="name in profiles/, or a TOML file (%(default)s)"
    )
    parser.add_argument("--output", default="pipeline.yaml", help="what to write (%(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the configuration, write nothing")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
