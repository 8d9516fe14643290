"""Lays out a project of your own, which depends on this package.

    python -m pipeline.project orders
    python -m pipeline.project orders --directory ~/work/orders --wheel dist/tfx_pipeline_package-0.1.0-py3-none-any.whl

Exit status: 0 it is there, 2 wrong arguments, or a directory that cannot be used; nothing is then written.
"""

import argparse
import sys
from pathlib import Path

from foundation import project
from foundation.arguments import Parser
from foundation.sections import ConfigurationError
from pipeline.project import layout


def main(arguments: list[str] | None = None) -> int:
    """Parses, lays out, says what is next; returns the exit status."""
    options = _parser().parse_args(arguments)
    directory = Path(options.directory or options.name)
    try:
        written = layout.lay_out(options.name, directory, Path(options.wheel) if options.wheel else None)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Wrote {len(written)} files to {directory}; next: cd {directory} && make run")
    if not options.wheel:
        print(
            f"Its {project.NAME} comes from the package index that uv is set up with: give --wheel FILE where none has it."
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipeline.project", description=__doc__)
    add = parser.add_argument
    add("name", help="of the project and of its first dataset: lower-case letters, digits and hyphens")
    add("--directory", metavar="DIR", help="where to; new or empty (./NAME)")
    add("--wheel", metavar="FILE", help="this package's wheel, which the project keeps in wheels/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
