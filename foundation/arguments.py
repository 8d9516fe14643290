"""The parser of every command line: argparse's, with messages of bounded length."""

import argparse
from typing import NoReturn

from foundation.sections import shorten


class Parser(argparse.ArgumentParser):
    """Shows its text as it is written, and repeats no more of a wrong argument than a screen holds."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Prints usage and `message`; ends with status 2."""
        super().error(shorten(message))
