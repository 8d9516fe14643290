"""Which TFX line a platform gets."""

import platform

import pytest

from setup import choose_python


@pytest.mark.parametrize(
    ("system", "machine", "glibc", "line"),
    [
        ("Linux", "x86_64", "2.28", "TFX 1.16"),
        ("Linux", "x86_64", "2.36", "TFX 1.16"),
        ("Linux", "x86_64", "2.39", "TFX 1.21"),
        ("Linux", "x86_64", "2.41", "TFX 1.21"),
        ("Darwin", "arm64", "", "TFX 1.21"),
    ],
)
def test_the_line_follows_from_the_platform(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, glibc: str, line: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", glibc))
    (chosen, _), reason = choose_python.choose_line()
    assert chosen == line and reason


@pytest.mark.parametrize(
    ("system", "machine", "glibc"),
    [
        ("Linux", "aarch64", "2.41"),
        ("Linux", "x86_64", "2.27"),
        ("Linux", "x86_64", ""),  # musl
        ("Darwin", "x86_64", ""),
        ("Windows", "AMD64", ""),
    ],
)
def test_a_platform_without_wheels_is_told_so(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, glibc: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc" if glibc else "", glibc))
    with pytest.raises(SystemExit, match="has no wheels of TFX"):
        choose_python.choose_line()
