"""A MariaDB server of a test's own: Debian's, unpacked without root, on a free port of loopback."""

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from tests.debian import unpacked_package

_ROOT = "root of the test"
_LIBRARIES = {
    "libaio.so.1": "libaio1",
    "libaio.so.1t64": "libaio1t64",
    "libnuma.so.1": "libnuma1",
    "liburing.so.2": "liburing2",
}
"""What the server needs and a machine may lack → its package."""


@dataclass
class MariaDB:
    """A server that runs; `execute` is its administrator's."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    port: int

    def start(self) -> None:
        """Starts it, also after `kill`; it answers when this returns."""
        with self.log.open("a") as output:
            self._process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(pymysql.OperationalError):
                self.execute("SELECT 1")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(self.log.read_text())
            time.sleep(0.05)

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """The rows of the last statement."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", password=_ROOT, autocommit=True
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def add_user(self, user: str, password: str, *grants: str) -> None:
        """A user from anywhere; a grant is such as "ALL ON name.*"."""
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        self.execute(
            f"CREATE USER {user}@'%' IDENTIFIED BY '{quoted}'",
            *(f"GRANT {grant} TO {user}@'%'" for grant in grants),
        )

    def kill(self) -> None:
        """As a machine that loses power."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(directory: Path, *options: str) -> Iterator[MariaDB]:
    """A new server with its files in `directory`; a second to start."""
    tree = unpacked_package("mariadb-server-core")
    binary = tree / "usr/sbin/mariadbd"
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    trees = [unpacked_package(_LIBRARIES[name]) for name in re.findall(r"(\S+) => not found", linked)]
    folders = {str(file.parent) for each in trees for file in each.rglob("*.so.*")}
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(folders))}
    # Debian 13 calls the folder and its files "mariadb".
    (tables,) = (tree / "usr/share").glob("m*/*_system_tables.sql")
    data = directory / "data"
    data.mkdir()
    command = [
        str(binary), "--no-defaults", f"--basedir={tree / 'usr'}", f"--datadir={data}",
        f"--lc-messages-dir={tables.parent}", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    statements = (
        f"create database mysql;\nuse mysql;\n{tables.read_text()}\nflush privileges;\n"
        f"create user root@'127.0.0.1' identified by '{_ROOT}';\n"
        "grant all on *.* to root@'127.0.0.1' with grant option;\n"
    )
    subprocess.run(
        [*command, "--bootstrap"], input=statements, env=environment, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    listening = [
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--skip-name-resolve",
        "--socket=socket",
        *options,
    ]
    server = MariaDB([*command, *listening], environment, directory / "server.log", port)
    server.start()
    try:
        yield server
    finally:
        server.kill()
