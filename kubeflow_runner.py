"""Compiles the pipeline for Kubeflow Pipelines 2.x, and submits it.

    python kubeflow_runner.py                                    # taxi, on a cluster, to pipeline.yaml
    python kubeflow_runner.py --set kubeflow.image=registry.example.com/tfx-pipeline@sha256:...
    python kubeflow_runner.py --host http://localhost:8080 --submit                  # and start a run
    python kubeflow_runner.py --host http://localhost:8080 --schedule "0 3 * * *"    # every night
    python kubeflow_runner.py --score --host http://localhost:8080 --schedule "0 6 * * *"

With --score it is a pipeline of its own, which predicts a table with the live model, as [scoring] says.
Exit status: 0 done, 1 the server refused or did not answer, 2 wrong arguments or configuration.
"""

import argparse
import sys
import warnings
from pathlib import Path

from foundation.arguments import Parser
from foundation.sections import ConfigurationError
from pipeline.kubeflow import arguments as given
from pipeline.kubeflow import compile
from pipeline.kubeflow.connection import Server, ServerError
from pipeline.session import load


def main(arguments: list[str] | None = None) -> int:
    """Parses, checks, compiles, submits; returns the exit status."""
    options = _parser().parse_args(arguments)
    if not options.verbose:
        warnings.simplefilter("ignore")
    try:
        session = load(options.dataset, options.profile, settings=options.set)
        loaded, scores = session.config, options.score
        compile.require_cluster(loaded, scores=scores)
        server = _server(options)
        # Before seconds are spent on what is then not submitted.
        if options.schedule:
            given.parse_schedule(options.schedule)
        given.parse_parameters(options.parameter, compile.run_parameters(loaded, scores=scores))
        output = Path(options.output or ("scoring.yaml" if scores else "pipeline.yaml"))
        name = compile.pipeline_name(loaded, scores=scores)
        compile.check_output(output)
        if options.dry_run:
            print(f"Would compile {name} with the profile {loaded.profile} to {output}")
            return 0
        session.compile(output, verbose=options.verbose, scores=scores)
        print(f"Compiled {name} to {output} ({output.stat().st_size // 1024} KiB)")
        if server is not None:
            session.submit(
                server,
                output,
                options.parameter,
                start=options.submit,
                cron=options.schedule or None,
                scores=scores,
            )
    except (ConfigurationError, ServerError) as error:
        print(error, file=sys.stderr)
        if options.verbose:
            raise
        return 1 if isinstance(error, ServerError) else 2
    return 0


def _server(options: argparse.Namespace) -> Server | None:
    if not options.submit and not options.schedule:
        return None
    if not options.host:
        flag = "--submit" if options.submit else "--schedule"
        raise ConfigurationError(f"{flag} needs --host URL: where Kubeflow Pipelines answers.")
    return Server(
        options.host,
        options.namespace,
        given.read_secret("--token-file", options.token_file),
        given.read_secret("--cookies-file", options.cookies_file),
        options.timeout,
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    add("--profile", default="cluster", help="name in profiles/, or a TOML file (%(default)s)")
    add("--output", help="what to write (pipeline.yaml, or scoring.yaml with --score)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting")
    add("--score", action="store_true", help="the pipeline that predicts a table, as [scoring] says")
    add("--submit", action="store_true", help="upload the pipeline and start a run")
    add("--schedule", metavar="CRON", help='upload, and run at these times: "0 3 * * *", in UTC')
    add("--host", metavar="URL", help="where Kubeflow Pipelines answers")
    add("--namespace", help="the profile's namespace, where Kubeflow has several users")
    add("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the run")
    add("--token-file", metavar="FILE", help="a file with a bearer token")
    add("--cookies-file", metavar="FILE", help="a file with the cookies of a login")
    add("--timeout", type=int, default=60, metavar="SECONDS", help="for the server's answer (%(default)s)")
    add("--dry-run", action="store_true", help="check the configuration, write and send nothing")
    add("--verbose", action="store_true", help="show library messages and tracebacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
