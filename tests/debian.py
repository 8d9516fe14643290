"""Programs that tests run and Python's registry does not have: found, or installed from Debian."""

import functools
import os
import shutil
import subprocess

import pytest


@functools.cache
def program(name: str, package: str) -> str:
    """The path of `name`; where it is missing and this is root on Debian, `package` is installed first.

    Skips the test, and says why, where neither is possible.
    """
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-q", *command], env=environment, check=True, capture_output=True)
        found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here, and without root it cannot be installed: install {package}")
    return found
