"""What an engine must have before a run begins: each is asked for a few seconds, and what is missing is one sentence.

Otherwise it shows minutes later in a task manager's log, or never: a worker of another Python lets a job hang.
"""

import os
import shutil
import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.config.profile import Beam
from pipeline.engines.address import split_address
from pipeline.engines.flink import Flink
from pipeline.engines.options import FLINK, PORTABLE, has_flag, value_of
from pipeline.engines.pool import check_pools
from pipeline.engines.unavailable import EngineUnavailable

_MEBIBYTE = 1 << 20
_LEAST = 512 * _MEBIBYTE
"""Bytes for each slot that a job uses, of network and of off-heap memory each.

1 GiB of each for two slots is the least that has run (taxi, and 300 k rows); with Flink's own 128 MiB of network memory
StatisticsGen fails at parallelism 2 for lack of buffers, and without off-heap memory gRPC ends Transform of 300 k rows
with "call is closed". See docs/engines.md.
"""

_SECONDS = 4.0


def check_engine(beam: Beam, shared: Path | None = None, files: Sequence[Path] = ()) -> None:
    """Checks the engine of a profile; nothing where Beam runs in the step itself.

    Args:
      beam: The section of the profile.
      shared: The work directory, which workers must see and be able to write to; None where it does not exist yet.
      files: Some of the data, which they must see.

    Raises:
      EngineUnavailable: If it does not answer, or has no room now.
      ConfigurationError: If it is another than the profile says; each in one sentence that names the thing and the fix.
    """
    if beam.is_local:
        return
    environment = value_of(beam.options, "environment_type")
    if environment not in ("EXTERNAL", "LOOPBACK"):
        raise ConfigurationError(
            f"[beam] options has {f'--environment_type={environment}' if environment else 'no --environment_type'}, and "
            "workers of this pipeline are those of a pool (EXTERNAL) or of the run itself (LOOPBACK): choose one."
        )
    if beam.runner == FLINK:
        _check_flink(beam)
    if beam.runner == PORTABLE:
        _check_job_service(value_of(beam.options, "job_endpoint"))
    if environment == "EXTERNAL":
        check_pools(beam.worker_pools or value_of(beam.options, "environment_config"), shared, files)


def flink_of(beam: Beam) -> Flink | None:
    """The Flink of a profile; None for another engine, and where Beam's job server starts a Flink of its own."""
    address = value_of(beam.options, "flink_master")
    return Flink(address) if beam.runner == FLINK and address and not address.startswith("[") else None


def _check_flink(beam: Beam) -> None:
    flink = flink_of(beam)
    if flink:
        overview = flink.overview()
        version = value_of(beam.options, "flink_version")
        if version and not str(overview["flink-version"]).startswith(f"{version}."):
            raise ConfigurationError(
                f"{flink.url} is Flink {overview['flink-version']}, and [beam] options has --flink_version={version}: make "
                "them agree."
            )
        parallelism = _parallelism(beam)
        if overview["slots-available"] < parallelism:
            raise EngineUnavailable(
                f"{flink.url} has {overview['slots-available']} free of {overview['slots-total']} slots, and "
                f"--parallelism={parallelism} needs as many: lower it, wait for other jobs, or add task managers."
            )
        if parallelism > 1:
            _check_memory(flink.task_managers(), parallelism)
    _check_jar(beam)


def _parallelism(beam: Beam) -> int:
    text = value_of(beam.options, "parallelism") or "1"
    if not text.isascii() or not text.isdecimal() or not int(text):
        raise ConfigurationError(
            f"[beam] options has --parallelism={text[:100]}: give a whole number from 1 on."
        )
    return int(text)


def _check_memory(task_managers: Sequence[dict[str, Any]], parallelism: int) -> None:
    for each in task_managers:
        needed = _LEAST * min(parallelism, each["slotsNumber"])
        memory = each.get("memoryConfiguration", {})
        for name, key in (
            ("networkMemory", "taskmanager.memory.network.max (and .min)"),
            ("taskOffHeap", "taskmanager.memory.task.off-heap.size"),
        ):
            if (found := memory.get(name)) is not None and found < needed:
                raise ConfigurationError(
                    f"Flink's task manager {each['id']} has {found // _MEBIBYTE} MiB for {key}, and --parallelism="
                    f"{parallelism} on its {each['slotsNumber']} slot(s) needs {needed // _MEBIBYTE}: set it in Flink's "
                    "configuration, as deploy/flink does."
                )


def _check_jar(beam: Beam) -> None:
    """Looks for the jar of Beam's job server, which Beam fetches at the first job, and for Java to run it."""
    # Beam's own names of it. Here and not above: Beam takes a second to import.
    from apache_beam.utils.subprocess_server import JavaJarServer

    launcher = value_of(beam.options, "job_server_java_launcher") or "java"
    if not has_flag(beam.options, "flink_submit_uber_jar") and shutil.which(launcher) is None:
        raise ConfigurationError(
            f"Beam's job server for Flink needs Java, and there is no program '{launcher}': install a Java 11 or 17, or "
            "add --flink_submit_uber_jar to [beam] options."
        )
    named = value_of(beam.options, "flink_job_server_jar")
    version = value_of(beam.options, "flink_version") or "1.19"
    where = named or JavaJarServer.path_to_beam_jar(f":runners:flink:{version}:job-server:shadowJar")
    cached = Path(
        value_of(beam.options, "jar_cache_dir") or JavaJarServer.JAR_CACHE, where.rpartition("/")[2]
    )
    if cached.is_file() or os.path.isfile(where):
        return
    if "://" not in where:
        raise ConfigurationError(
            f"[beam] options names --flink_job_server_jar={where}, which is not there: correct it."
        )
    try:
        with urllib.request.urlopen(urllib.request.Request(where, method="HEAD"), timeout=_SECONDS):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ConfigurationError(
            f"Beam's job server for Flink {version} is neither {cached} nor to be had at {where} ({reason}): put the jar "
            "there, or name one with --flink_job_server_jar in [beam] options."
        ) from error


def _check_job_service(address: str) -> None:
    host, port = split_address(address, "--job_endpoint")
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        raise EngineUnavailable(
            f"No job service of Beam answers at {address} ({error.strerror or error}): start it, or correct "
            "--job_endpoint in [beam] options."
        ) from error
