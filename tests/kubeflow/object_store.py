"""A real S3 server (SeaweedFS) on loopback, and the artifacts in it as the tests read and write them.

It runs in a directory of its own on free ports, takes only requests that are signed with its credentials,
and ends with the session. The launcher of the emulator is its one client: steps see local files only.
"""

import contextlib
import itertools
import json
import secrets
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

_WEED = Path(sysconfig.get_path("scripts")) / "weed"
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc",
)  # fmt: skip
_START_SECONDS = 60
# Each chunk that is read is a request of its own.
_CHUNK = 8 * 2**20


@dataclass(frozen=True)
class Credentials:
    """What a request must be signed with."""

    access_key: str
    secret_key: str


class Store:
    """An object store: objects with keys, no directories, no links, no modes.

    `minio://`, `s3://` and `gs://` each have a bucket of their own on the one server. Google's real store
    speaks another protocol, which KFP's launcher and not this package must know.
    """

    def __init__(self, address: str, credentials: Credentials, looked_at: Path) -> None:
        self._client = fs.S3FileSystem(
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            endpoint_override=address,
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        self._looked_at = looked_at
        self._looks = itertools.count()
        # Objects are small, and a request is mostly waiting.
        self._pool = futures.ThreadPoolExecutor(8)

    def create_bucket(self, scheme: str, bucket: str) -> None:
        self._client.create_dir(f"{scheme}-{bucket}")

    def upload(self, local: Path, uri: str) -> int:
        """Returns the number of objects; a link to a directory is an error, as in the launcher."""
        if not local.exists():
            return 0
        files = [local] if local.is_file() else [p for p in sorted(local.rglob("*")) if not p.is_dir()]
        for path in local.rglob("*") if local.is_dir() else ():
            if path.is_symlink() and path.is_dir():
                raise IsADirectoryError(f"failed to upload {path}: is a directory")
        keys = [
            _key(uri) if path == local else f"{_key(uri)}/{path.relative_to(local).as_posix()}"
            for path in files
        ]
        return len(list(self._pool.map(self._put, files, keys)))

    def download(self, uri: str, local: Path) -> int:
        """Returns the number of objects; none is no error, and makes no directory."""
        keys = self._keys(uri)
        targets = [local / key.removeprefix(_key(uri)).lstrip("/") for key in keys]
        return len(list(self._pool.map(self._get, keys, targets)))

    def directory(self, uri: str) -> Path:
        """A copy of what was uploaded, for a test to look at; no file and no directory if nothing was."""
        local = self._looked_at / str(next(self._looks))
        self.download(uri, local)
        return local

    def _keys(self, uri: str) -> list[str]:
        (found,) = self._client.get_file_info([_key(uri)])
        if found.is_file:
            return [found.path]
        listed = self._client.get_file_info(fs.FileSelector(_key(uri), allow_not_found=True, recursive=True))
        return sorted(entry.path for entry in listed if entry.is_file)

    def _put(self, path: Path, key: str) -> None:
        with self._client.open_output_stream(key) as stream, path.open("rb") as file:
            shutil.copyfileobj(file, stream, _CHUNK)

    def _get(self, key: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._client.open_input_stream(key) as stream, target.open("wb") as file:
            shutil.copyfileobj(stream, file, _CHUNK)


def _key(uri: str) -> str:
    scheme, _, key = uri.partition("://")
    return f"{scheme}-{key}"


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[tuple[str, Credentials]]:
    """Address and credentials of a server that keeps everything under `directory`, which is removed."""
    directory.mkdir(parents=True)
    credentials = Credentials(secrets.token_hex(8), secrets.token_hex(16))
    known = {"accessKey": credentials.access_key, "secretKey": credentials.secret_key}
    identity = {"name": "launcher", "credentials": [known], "actions": ["Admin", "Read", "List", "Write"]}
    (directory / "identities.json").write_text(json.dumps({"identities": [identity]}))
    (directory / "data").mkdir()
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS))))
    command = [
        _WEED, "server", f"-dir={directory}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3",
        f"-s3.config={directory}/identities.json", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=64", "-volume.max=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    log = directory / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            command, cwd=directory, stdout=stream, stderr=stream, env={"HOME": str(directory)}
        )
    try:
        _wait_until_ready(server, ports, log)
        yield f"127.0.0.1:{ports['s3.port']}", credentials
    finally:
        # Not terminate: it would wait fifteen seconds for others that might read from its volumes.
        server.kill()
        server.wait()
        shutil.rmtree(directory)


def _wait_until_ready(server: subprocess.Popen[bytes], ports: dict[str, int], log: Path) -> None:
    # The S3 port may open before there is a volume to write to; the first upload would then wait for seconds.
    volumes = f"http://127.0.0.1:{ports['master.port']}/dir/assign"
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(volumes, timeout=5) as answer:
                has_volume = "fid" in json.load(answer)
            if has_volume:
                socket.create_connection(("127.0.0.1", ports["s3.port"]), 5).close()
                return
        time.sleep(0.05)
    raise AssertionError(f"{_WEED} does not serve: {log.read_text(errors='replace')[-2000:]}")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
