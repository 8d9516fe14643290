"""What the lock gives each platform, and what moved in it since the last commit.

    make upgrade            # relocks, prints this, runs the tests of both TFX lines

A universal lock names several versions of a package, each under a marker: `uv lock --upgrade` says which
versions moved, not on which TFX line. Here uv's own export is read as each platform reads it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".uv" / "bin" / "uv"


@dataclass(frozen=True)
class Platform:
    """A Python on an operating system. `tags` is what a wheel may be built for, the best first."""

    name: str
    python: str
    system: str
    machine: str
    tags: tuple[str, ...]

    @property
    def markers(self) -> dict[str, str]:
        """The environment that markers of requirements are evaluated in (PEP 508)."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.5",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.5",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "platform_system": self.system,
            "sys_platform": self.system.lower(),
            "platform_machine": self.machine,
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }

    def wheel_tags(self) -> set[Tag]:
        """Every tag of a wheel that installs here."""
        major, minor = map(int, self.python.split("."))
        interpreter = f"cp{major}{minor}"
        return {
            *cpython_tags((major, minor), platforms=self.tags),
            *compatible_tags((major, minor), interpreter, self.tags),
        }


def _glibc(minor: int) -> tuple[str, ...]:
    """Tags of x86-64 Linux with glibc 2.`minor`, the legacy names of PEP 600 among them."""
    legacy = ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64")
    return (*(f"manylinux_2_{version}_x86_64" for version in range(minor, 4, -1)), *legacy)


# docs/platforms.md: what each TFX line says it runs on, with the oldest glibc and macOS.
PLATFORMS = (
    Platform("TFX 1.16, Python 3.10, Linux", "3.10", "Linux", "x86_64", _glibc(28)),
    *(
        Platform(f"TFX 1.21, Python {python}, {name}", python, system, machine, tags)
        for python in ("3.11", "3.12", "3.13")
        for name, system, machine, tags in (
            ("Linux", "Linux", "x86_64", _glibc(39)),
            ("macOS", "Darwin", "arm64", tuple(mac_platforms((14, 0), "arm64"))),
        )
    ),
)


def export(directory: Path) -> list[Requirement]:
    """Everything that the lock in `directory` holds, development tools included, each with its marker."""
    command = [str(UV), "export", "--frozen", "--quiet", "--no-emit-project", "--project", str(directory)]
    flags = ["--no-hashes", "--no-annotate", "--no-header"]
    text = subprocess.run([*command, *flags], capture_output=True, text=True, check=True).stdout
    return [Requirement(line) for line in text.splitlines() if line.strip()]


def versions(requirements: list[Requirement], platform: Platform) -> dict[str, str]:
    """Package → version, as `platform` installs them."""
    return {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(platform.markers)
    }


def moves(
    old: list[Requirement], new: list[Requirement], platforms: tuple[Platform, ...] = PLATFORMS
) -> Iterator[tuple[str, str, str, str]]:
    """Package, old version, new version ("-" for none) and the platforms where it is so."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for platform in platforms:
        before, after = versions(old, platform), versions(new, platform)
        for name in sorted({*before, *after}):
            pair = before.get(name, "-"), after.get(name, "-")
            if pair[0] != pair[1]:
                found.setdefault((name, *pair), []).append(platform.name)
    for (name, before_, after_), where in sorted(found.items()):
        yield name, before_, after_, _shorten(where, platforms)


def _shorten(where: list[str], platforms: tuple[Platform, ...]) -> str:
    names = [platform.name for platform in platforms]
    if where == names:
        return "both lines"
    lines: Mapping[str, list[str]] = {
        line: [name for name in names if name.startswith(line)] for line in ("TFX 1.16", "TFX 1.21")
    }
    for line, all_of_it in lines.items():
        if where == all_of_it:
            return line
    return "; ".join(where)


def main() -> int:
    """Prints what moved since HEAD."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("pyproject.toml", "uv.lock"):
            shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, check=True)
            Path(directory, name).write_bytes(shown.stdout)
        rows = list(moves(export(Path(directory)), export(ROOT)))
    for name, before, after, where in rows:
        print(f"{name:40} {before:>14} → {after:<14} {where}")
    print(
        f"{len(rows)} packages moved since the last commit" if rows else "Nothing moved since the last commit"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
