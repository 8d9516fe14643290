"""Programs that tests run and Python's registry does not have: found, or fetched from Debian."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

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


@functools.cache
def unpacked_program(name: str, package: str) -> str:
    """The path of `name`; where it is missing, `package` is downloaded and unpacked, without root.

    For a daemon, which an installed package would start at once, and for programs that need nothing but
    the C library, as those in Go. They are kept in the temporary directory for the next tests.

    Skips the test, and says why, where there is no apt or no registry.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    return str(unpacked_package(package) / "usr" / "bin" / name)


@functools.cache
def unpacked_package(package: str) -> Path:
    """The folder of the package's files, downloaded and unpacked as `unpacked_program` does.

    Skips the test, and says why, where there is no apt or no registry.
    """
    # Of this user alone: nobody else may put a program there.
    folder = Path(tempfile.gettempdir()) / f"tfx-pipeline-debian-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.geteuid()
    if not (folder / package).is_dir() and (reason := _unpack(package, folder)):
        pytest.skip(f"{package} cannot be fetched from Debian: {reason}")
    return folder / package


def _unpack(package: str, folder: Path) -> str:
    """Puts the package's files into `folder`/`package`; returns why not, or an empty text."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return "there is no apt-get here"
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        scratch = Path(directory)
        lists = scratch / "lists"
        (lists / "partial").mkdir(parents=True)
        # As root apt would drop its rights and could not write here.
        private = [
            "-o",
            f"Dir::State::lists={lists}",
            "-o",
            f"Dir::Cache={scratch}",
            "-o",
            "APT::Sandbox::User=",
        ]
        commands = [
            ["apt-get", "-q", "download", package],
            # The lists that are here may be too old, or missing as in an image: fetch them for ourselves.
            ["apt-get", "-q", *private, "update"],
            ["apt-get", "-q", *private, "download", package],
        ]
        for command in commands:
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
            files = list(scratch.glob(f"{package}_*.deb"))
            if files:
                subprocess.run(["dpkg", "-x", str(files[0]), str(scratch / "tree")], check=True)
                os.replace(scratch / "tree", folder / package)
                return ""
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
