"""ML Metadata in a database that several schedulers share: Debian's MariaDB, started here."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline.metadata.database import Database
from pipeline.metadata.readiness import check_database
from tests import mariadb, preloaded
from tests.debian import program
from tests.mariadb import MariaDB

from .conftest import Project

SECRET = "S3cr3t"
PASSWORD = SECRET + "-\"'\\é"
"""With all that a quotation, a protocol buffer's text and Latin-1 would change."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`server.pem` with its key, for 127.0.0.1 and signed by itself; `other.pem` of somebody else."""
    directory = tmp_path_factory.mktemp("certificates")
    for name in ("server", "other"):
        subprocess.run(
            [
                program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=db",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            ],
            cwd=directory, check=True, capture_output=True,
        )  # fmt: skip
    return directory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[MariaDB]:
    encrypted = [f"--ssl-cert={certificates / 'server.pem'}", f"--ssl-key={certificates / 'server.key'}"]
    with mariadb.running(tmp_path_factory.mktemp("mariadb"), *encrypted) as started:
        started.execute("CREATE DATABASE shared", "CREATE DATABASE empty")
        started.add_user("tfx", PASSWORD, "ALL ON shared.*")
        started.add_user("reader", PASSWORD, "SELECT ON shared.*", "SELECT ON empty.*", "SELECT ON `gone`.*")
        started.add_user("encrypted", PASSWORD, "ALL ON shared.*")
        started.execute("ALTER USER encrypted@'%' REQUIRE SSL")
        yield started


@pytest.fixture(scope="module")
def profile(server: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("profile")
    (directory / "password").write_text(PASSWORD + "\n")
    (directory / "shared.toml").write_text(
        f"""
        extends = "laptop"
        [metadata]
        host = "127.0.0.1"
        port = {server.port}
        database = "shared"
        user = "tfx"
        password_file = "{directory / "password"}"
        """
    )
    return directory / "shared.toml"


def start(
    project: Project, profile: Path, workdir: str, *arguments: str
) -> tuple[preloaded.PreloadedProcess, Path]:
    """A run that has begun, and the file of what it says."""
    said = project.root / f"{workdir}-{len(list(project.root.glob(f'{workdir}-*.txt')))}.txt"
    command = project.command("small", "--profile", str(profile), "--workdir", workdir, *arguments)
    return preloaded.start(command, cwd=project.root, output=said, error=said), said


@pytest.fixture(scope="module")
def both(project: Project, profile: Path) -> dict[str, str]:
    """Two workspaces of one dataset, at the same time and in a database that is still empty; what each run said."""
    started = {
        "night": start(project, profile, "night"),
        "day": start(project, profile, "day", "--to", "StatisticsGen"),
    }
    said = {}
    for workdir, (process, output) in started.items():
        status = process.wait(300)
        said[workdir] = output.read_text()
        assert status == 0, said[workdir]
    return said


def test_a_whole_run_is_recorded_in_the_database(project: Project, both: dict[str, str]) -> None:
    assert "pushed model" in both["night"] and "blessed       yes" in both["night"]
    assert not any((project.root / workdir / "small/metadata.sqlite").exists() for workdir in both)


def test_trap_two_workspaces_of_one_dataset_share_no_cache(project: Project, both: dict[str, str]) -> None:
    assert all("cached" not in said for said in both.values())
    for workdir in both:
        made = project.root / workdir / "small/artifacts/StatisticsGen/statistics"
        assert len([path for path in made.iterdir() if path.name.isdecimal()]) == 1


def test_the_same_again_is_cached(project: Project, profile: Path, both: dict[str, str]) -> None:
    process, said = start(project, profile, "night", "--to", "Transform")
    assert process.wait(300) == 0
    for node in ("ExampleGen", "StatisticsGen", "Transform"):
        assert f"{node} cached" in " ".join(said.read_text().split())


def test_trap_tfx_logs_how_it_connects_and_the_password_is_in_no_file(
    project: Project, both: dict[str, str]
) -> None:
    (log,) = (project.root / "day/small/logs").glob("run-*.log")
    assert "Using connection config" in log.read_text() and 'user: "tfx"' in log.read_text()
    done = subprocess.run(
        ["grep", "-rlF", SECRET, str(project.root)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "" and done.returncode == 1


def test_a_connection_that_dies_in_mid_run_is_one_sentence_and_the_next_run_continues(
    project: Project, profile: Path, server: MariaDB, both: dict[str, str]
) -> None:
    arguments = ("--no-cache", "--to", "StatisticsGen")
    process, said = start(project, profile, "day", *arguments)
    deadline = time.monotonic() + 120
    while "ExampleGen" not in said.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    server.kill()
    try:
        assert process.wait(120) == 1
    finally:
        server.start()
    text = " ".join(said.read_text().split())
    assert f"ML Metadata's connection to the database shared at 127.0.0.1:{server.port} broke (" in text
    assert "Traceback" not in text and "status failed" in text
    process, said = start(project, profile, "day", *arguments[1:])
    assert process.wait(300) == 0
    assert "was killed" not in said.read_text()


def database(server: MariaDB, profile: Path, **settings: object) -> Database:
    given = {"host": "127.0.0.1", "port": server.port, "database": "shared", "user": "tfx"}
    return Database(**{**given, "password_file": str(profile.parent / "password"), **settings})  # type: ignore[arg-type]


def refusal(asked: Database) -> str:
    started = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        check_database(asked)
    assert time.monotonic() - started < 10 and SECRET not in str(caught.value)
    return str(caught.value)


def test_a_database_that_can_be_used_is_silently_accepted(
    server: MariaDB, profile: Path, both: dict[str, str]
) -> None:
    check_database(database(server, profile))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"user": "nobody"}, "refuses the user nobody or his password: correct [metadata] user, or the password in /"),
        ({"database": "nowhere"}, "The user tfx may not use the database nowhere"),
        ({"database": "gone", "user": "reader"}, "has no database gone: create it"),
        ({"user": "reader"}, "may not do what ML Metadata does in the database shared"),
        ({"database": "empty", "user": "reader"}, "(CREATE command): GRANT ALL ON `empty`.* to him."),
        ({"user": "encrypted"}, "and [metadata] ca if it asks for TLS"),
        ({"port": 1}, "ML Metadata's database at 127.0.0.1:1 does not answer (Can't connect"),
        ({"host": "nowhere.invalid"}, "database at nowhere.invalid:"),
        ({"ca": "/nowhere/ca.pem"}, "[metadata] /nowhere/ca.pem cannot be used"),
        ({"password_file": "/nowhere"}, "[metadata] password_file /nowhere cannot be read (No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence(
    server: MariaDB, profile: Path, both: dict[str, str], settings: dict[str, object], expected: str
) -> None:
    assert expected in refusal(database(server, profile, **settings))


def test_a_connection_is_encrypted_and_the_servers_certificate_is_asked_for(
    server: MariaDB, profile: Path, certificates: Path, both: dict[str, str]
) -> None:
    right, wrong = (str(certificates / f"{name}.pem") for name in ("server", "other"))
    check_database(database(server, profile, user="encrypted", ca=right))
    for settings in ({"ca": wrong}, {"ca": right, "host": "localhost"}):
        expected = "has no certificate for that name that [metadata] ca trusts ("
        assert expected in refusal(database(server, profile, user="encrypted", **settings))


def test_trap_a_server_that_takes_the_connection_and_says_nothing(server: MariaDB, profile: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        asked = database(server, profile, port=silent.getsockname()[1])
        assert "does not answer (Lost connection" in refusal(asked)


@pytest.mark.parametrize(("by", "word"), [(-1, "older"), (1, "greater")])
def test_a_schema_of_another_version_is_refused(
    server: MariaDB, profile: Path, both: dict[str, str], by: int, word: str
) -> None:
    server.execute(f"UPDATE shared.MLMDEnv SET schema_version = schema_version + {by}")
    try:
        assert f"is {word} than library version" in refusal(database(server, profile))
    finally:
        server.execute(f"UPDATE shared.MLMDEnv SET schema_version = schema_version - {by}")
