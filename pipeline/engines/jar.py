"""Puts Beam's jar for Flink where Flink takes it from, so that its classes, and with them workers, outlive a stage.

    python -m pipeline.engines.jar --file /opt/flink/lib/beam.jar

The jar is the one of Beam's cache (~/.apache_beam/cache/jars), or is fetched from Maven Central into it.
Exit status: 0 it is there, 2 it cannot be had.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from foundation.arguments import Parser


def main(arguments: list[str] | None = None) -> int:
    """Copies the jar; returns the exit status."""
    options = _parser().parse_args(arguments)
    if not options.file.parent.is_dir():
        print(f"--file {options.file} is in no directory: make {options.file.parent}.", file=sys.stderr)
        return 2
    # Here and not above: Beam takes seconds to import, and a wrong argument is answered at once.
    from apache_beam.utils.subprocess_server import JavaJarServer

    address = JavaJarServer.path_to_beam_jar(f":runners:flink:{options.version}:job-server:shadowJar")
    try:
        found = JavaJarServer.local_jar(address)
        unfinished = options.file.with_suffix(".unfinished")
        shutil.copyfile(found, unfinished)
        os.replace(unfinished, options.file)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"Beam's jar for Flink {options.version} cannot be had: {error}", file=sys.stderr)
        return 2
    print(f"Beam's jar is {options.file}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipeline.engines.jar", description=__doc__)
    add = parser.add_argument
    add("--file", type=Path, required=True, help="where it is put, such as beam.jar in Flink's lib/")
    add("--version", default="1.19", help="Flink's, major and minor (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
