"""The one lock serves every platform that docs/platforms.md names, and says what it builds from source."""

import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from setup import lock

if sys.version_info >= (3, 11):  # Can go with Python 3.10, so with TFX 1.16.
    import tomllib
else:
    import tomli as tomllib

# What has no wheel and is built while installing: pyfarmhash needs a C++ compiler, crcmod takes a C one
# where there is one, the others are Python alone.
BUILT = {
    "3.10": {"crcmod", "dill", "docopt", "google-apitools", "hdfs", "kfp", "kfp-server-api", "pyfarmhash", "rouge-score"},
    "3.11": {"google-apitools", "kfp-server-api", "pyfarmhash", "rouge-score"},
    "3.12": {"google-apitools", "kfp-server-api", "pyfarmhash", "rouge-score"},
    "3.13": {"kfp-server-api", "pyfarmhash", "rouge-score"},
}  # fmt: skip


@pytest.fixture(scope="module")
def locked() -> list[Requirement]:
    return lock.export(lock.ROOT)


@pytest.fixture(scope="module")
def wheels() -> dict[tuple[str, str], list[str]]:
    content = tomllib.loads((lock.ROOT / "uv.lock").read_text())
    return {
        (canonicalize_name(package["name"]), package["version"]): [
            wheel["url"].rpartition("/")[2] for wheel in package.get("wheels", ())
        ]
        for package in content["package"]
        if "version" in package
    }


@pytest.mark.parametrize("platform", lock.PLATFORMS, ids=lambda platform: platform.name)
def test_every_package_installs_on_the_platform(
    platform: lock.Platform, locked: list[Requirement], wheels: dict[tuple[str, str], list[str]]
) -> None:
    tags = platform.wheel_tags()
    without = {
        name
        for name, version in lock.versions(locked, platform).items()
        if not any(
            parse_wheel_filename(wheel)[3] & tags for wheel in wheels[canonicalize_name(name), version]
        )
    }
    assert without == BUILT[platform.python]


@pytest.mark.parametrize("platform", lock.PLATFORMS, ids=lambda platform: platform.name)
def test_the_line_follows_from_the_python(platform: lock.Platform, locked: list[Requirement]) -> None:
    versions = lock.versions(locked, platform)
    assert versions["tfx"] == ("1.16.0" if platform.python == "3.10" else "1.21.0")
    # What TFX 1.21 no longer brings, and the product needs.
    for name in ("kfp", "tensorboard", "tf-keras", "setuptools", "tensorflow-serving-api"):
        assert name in versions, name


def test_a_move_is_named_with_its_line() -> None:
    def locks(text: str) -> list[Requirement]:
        return [Requirement(line) for line in text.splitlines()]

    old = locks("a==1\nb==1 ; python_full_version < '3.11'\nb==2 ; python_full_version >= '3.11'\nc==1")
    new = locks("a==2\nb==1 ; python_full_version < '3.11'\nb==3 ; python_full_version >= '3.11'\nd==1")
    assert list(lock.moves(old, new)) == [
        ("a", "1", "2", "both lines"),
        ("b", "2", "3", "TFX 1.21"),
        ("c", "1", "-", "both lines"),
        ("d", "-", "1", "both lines"),
    ]
