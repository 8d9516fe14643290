"""A disk that is full or broken, and a process that is killed, from one file operation on."""

import errno
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

OPERATIONS = [
    (os, name) for name in ("mkdir", "rename", "replace", "fsync", "link", "unlink", "rmdir", "open")
] + [(shutil, "copy2")]


class Killed(BaseException):
    """The process ended here: nothing after it takes place."""


class Faults:
    """Lets file operations through, and fails from the one of number `at` on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, fault: Callable[[], BaseException]) -> None:
        self.seen, self._at, self._fault = 0, at, fault
        self._dead = False
        for module, name in OPERATIONS:
            monkeypatch.setattr(module, name, self._counted(getattr(module, name), name))

    def _counted(self, operation: Callable[..., Any], name: str) -> Callable[..., Any]:
        def act(*arguments: Any, **keywords: Any) -> Any:
            number, self.seen = self.seen, self.seen + 1
            # A full disk takes nothing more, and gives room; a dead process does neither.
            if self._dead or (number >= self._at and name not in ("unlink", "rmdir", "open")):
                error = self._fault()
                self._dead = self._dead or isinstance(error, Killed)
                raise error
            return operation(*arguments, **keywords)

        return act


FAULTS: dict[str, Callable[[], BaseException]] = {
    "full": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "broken": lambda: OSError(errno.EIO, "Input/output error"),
    "killed": Killed,
}
