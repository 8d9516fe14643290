"""Asks worker pools what they are and what they see, before a job is given to them."""

import contextlib
import dataclasses
import ipaddress
import json
import socket
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.engines.address import split_address
from pipeline.engines.identity import METHOD, SERVICE, Identity, identify
from pipeline.engines.unavailable import EngineUnavailable

SECONDS = 4.0
"""To answer in: a pool that is there does in milliseconds."""

_START = "python -m pipeline.engines.worker_pool"


def check_pools(address: str, shared: Path | None, files: Sequence[Path]) -> None:
    """Asks each pool at an address; several task managers may share one name.

    Args:
      address: As host:port.
      shared: A directory that workers must see and be able to write to; None where there is none yet.
      files: Of the data.

    Raises:
      ConfigurationError: If one is not there, is another project's, or sees other files.
    """
    host, port = split_address(address, "the address of the worker pools")
    expected = identify()
    with _marked(shared) as marks:
        for target in _targets(host, port):
            _check_pool(target, expected, [*marks, *files], [shared] if shared else [])


def _check_pool(target: str, expected: Identity, files: Sequence[Path], directories: Sequence[Path]) -> None:
    from pipeline.engines.worker_pool import digest_of

    answer = _ask(target, {"files": list(map(str, files)), "directories": list(map(str, directories))})
    for field, what in (("python", "Python"), ("beam", "Beam"), ("project", "the code")):
        theirs, ours = answer.get(field), dataclasses.asdict(expected)[field]
        if theirs != ours:
            raise ConfigurationError(
                f"The worker pool at {target} has {what} {theirs} and this run has {ours}: start both from the same "
                "image, or the same checkout and environment."
            )
    for file in files:
        if answer["files"].get(str(file)) != digest_of(file):
            raise ConfigurationError(
                f"The worker pool at {target} does not see {file} as this run does: put data and --workdir on a volume "
                "that both have at one path."
            )
    for directory in directories:
        if not answer["writable"].get(str(directory)):
            raise ConfigurationError(
                f"The worker pool at {target} may not write to {directory}: run it as a user or group that may."
            )


def _ask(target: str, question: dict[str, Any]) -> dict[str, Any]:
    import grpc

    # A proxy for web pages is none for this.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = channel.unary_unary(f"/{SERVICE}/{METHOD}")(
                json.dumps(question).encode(), timeout=SECONDS
            )
            return json.loads(answer)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise ConfigurationError(
                    f"The worker pool at {target} does not say which Python and code its workers have: start this "
                    f"project's, {_START}."
                ) from error
            raise EngineUnavailable(
                f"No worker pool answers at {target} ({error.code().name}): start it there, {_START}, or correct [beam]."
            ) from error


def _targets(host: str, port: int) -> list[str]:
    """Every address that a name stands for, as a headless Service's does for its pods."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ConfigurationError(
            f"[beam] names the worker pools' host {host}, which has no address ({error.strerror}): correct it."
        ) from error
    if all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found):
        return [f"{host}:{port}"]
    return [f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in sorted(found)]


@contextlib.contextmanager
def _marked(directory: Path | None) -> Iterator[list[Path]]:
    """A new file in `directory`, with contents that no other has, until the block ends."""
    if directory is None:
        yield []
        return
    mark = directory / f".seen-{uuid.uuid4().hex}"
    try:
        mark.write_text(mark.name)
        yield [mark]
    finally:
        mark.unlink(missing_ok=True)
