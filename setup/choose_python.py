"""Chooses the Python, and with it the TFX line, that this platform can install.

Prints the interpreter on standard output and the reason on standard error. Runs on any Python 3, as
it is what `make` runs before anything is set up.
"""

import glob
import os
import platform
import shutil
import subprocess
import sys

# TFX 1.21's wheels (ml-metadata, tensorflow-data-validation) are manylinux_2_39 and macOS arm64.
NEW_LINE = ("TFX 1.21", ("3.12", "3.11", "3.13"))
OLD_LINE = ("TFX 1.16", ("3.10",))


def choose_line():
    """The TFX line for this platform, and why."""
    system, machine = platform.system(), platform.machine()
    if system == "Darwin" and machine == "arm64":
        return NEW_LINE, "Apple silicon"
    if system == "Linux" and machine in ("x86_64", "AMD64"):
        name, version = platform.libc_ver()
        numbers = tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0, 0)
        if numbers >= (2, 39):
            return NEW_LINE, f"glibc {version} is 2.39 or later"
        # TFX 1.16's own wheels are manylinux_2_17; others in the lock (pillow, pyzmq) are manylinux_2_28.
        if numbers >= (2, 28):
            return OLD_LINE, f"glibc {version} is older than 2.39, which TFX 1.21 needs"
    sys.exit(
        f"{system} on {machine} has no wheels of TFX: use x86-64 Linux with glibc 2.28 or later, or a Mac with Apple "
        "silicon."
    )


def find(versions):
    """The first interpreter of one of `versions`; pyenv's are found even where none is selected."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    for version in versions:
        installed = sorted(glob.glob(os.path.join(pyenv, "versions", version + ".*", "bin", "python")))
        for candidate in [shutil.which("python" + version), sys.executable, *reversed(installed)]:
            if candidate and version_of(candidate) == version:
                return candidate
    return None


def version_of(interpreter):
    """ "3.10" and so on, or None where it does not run (a pyenv shim of a version not selected)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.check_output(
            [interpreter, "-c", code], stderr=subprocess.DEVNULL, universal_newlines=True
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main():
    (line, versions), reason = choose_line()
    interpreter = find(versions)
    if interpreter is None:
        print(f"{line} because {reason}: no Python {versions[0]} here, uv will fetch one", file=sys.stderr)
    else:
        print(f"{line} because {reason}: {interpreter}", file=sys.stderr)
    print(interpreter or versions[0])


if __name__ == "__main__":
    main()
