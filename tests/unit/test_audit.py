"""The audit against a server that speaks OSV's protocol: findings, accepted ones, and no answer."""

import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.config import ROOT
from setup.lock import UV

RECORD = {
    "id": "TEST-2026-1",
    "aliases": ["CVE-2026-0001"],
    "modified": "2026-01-01T00:00:00Z",
    "summary": "a finding made for this test",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "tfx"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.21.0"}]}],
        }
    ],
}


class Database(http.server.BaseHTTPRequestHandler):
    """Knows one vulnerability: of TFX 1.16.0."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.asked += [(query["package"]["name"], query["version"]) for query in queries]
        known = [{"id": RECORD["id"], "modified": RECORD["modified"]}]
        hit = [query["package"]["name"] == "tfx" and query["version"] == "1.16.0" for query in queries]
        self._answer({"results": [{"vulns": known} if each else {} for each in hit]})

    def do_GET(self) -> None:
        self._answer(RECORD)

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def database() -> Iterator[str]:
    Database.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def audit(project: Path, service: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "setup" / "audit.py"), "--uv", str(UV), "--service-url", service]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=60)


def test_a_finding_fails_and_an_accepted_one_does_not(project: Path, database: str) -> None:
    found = audit(project, database)
    assert found.returncode == 1, found.stderr
    assert "tfx 1.16.0" in found.stdout and "Fixed in: 1.21.0" in found.stdout
    # Both lines were asked about, not only what is installed here.
    assert {("tfx", "1.16.0"), ("tfx", "1.21.0")} <= set(Database.asked)
    with (project / "pyproject.toml").open("a") as settings:
        settings.write('\n[tool.uv.audit]\nignore = ["CVE-2026-0001"]\n')
    assert audit(project, database).returncode == 0


def test_a_database_that_does_not_answer_is_neither_good_nor_bad_news(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = audit(project, f"http://127.0.0.1:{port}/")
    assert answer.returncode == 3
    assert answer.stderr.startswith("The audit could not be made") and answer.stderr.count("\n") == 1


def test_every_accepted_finding_has_a_reason_and_a_date() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    accepted = re.search(r"^\[tool\.uv\.audit\]\n(.*?)(?=^\[|\Z)", text, re.DOTALL | re.MULTILINE)
    for line in accepted.group(1).splitlines() if accepted else []:
        if re.match(r'\s*"', line):
            assert re.search(r"#.{10,}\d{4}-\d{2}-\d{2}", line), f"no reason and date: {line}"
