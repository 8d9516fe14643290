"""A Beam step's artifacts on a volume that the step and Beam's workers elsewhere mount at one path.

KFP's launcher keeps artifacts in the step's own pod. Here they are copied to the volume, the step works there, and what it
made is copied back to where the launcher uploads it from.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.sections import UserError
from pipeline.config.profile import Beam
from pipeline.engines.options import value_of
from pipeline.engines.readiness import check_engine, flink_of
from pipeline.engines.watch import following
from pipeline.kubeflow.translation import Document

_LOG = logging.getLogger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_OURS = ("--runner=", "--sdk_container_image=")
"""Of the arguments of `Beam.arguments`, those that are none of its options."""


class SharedDirectoryError(UserError, RuntimeError):
    """The shared volume has no room, or cannot be written."""


@dataclass(frozen=True)
class Shared:
    """A step whose artifacts are on the volume.

    Attributes:
      adapted: `translation.adapt_input`'s document, with paths on the volume.
      folder: The step's own; also for what Beam writes on its way.
      arguments: Beam's.
      paths: Path on the volume → path in the pod, of every artifact.
    """

    adapted: Document
    folder: Path
    arguments: list[str]
    paths: dict[str, str]

    def restore(self, value: Any) -> Any:
        """A document of TFX's in which paths on the volume are those in the pod again."""
        if isinstance(value, dict):
            return {key: self.restore(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.restore(each) for each in value]
        if isinstance(value, str):
            for shared, local in self.paths.items():
                if value == shared or value.startswith(f"{shared}/"):
                    return local + value[len(shared) :]
        return value


class _Logged:
    """Progress as lines of the pod's log."""

    def say(self, text: str) -> None:
        _LOG.info(text)

    def note(self, text: str) -> None:
        """How far a job is changes too often for a log."""


@contextlib.contextmanager
def sharing(
    directory: Path, node: str, adapted: Document, arguments: Sequence[str], worker_pools: str
) -> Iterator[Shared]:
    """The step's inputs on the volume; after the block its outputs are in the pod, and its folder is gone.

    A retry, which KFP gives the same output URIs, removes what an attempt that was killed has left: the folder, and its job
    on Flink.

    Args:
      directory: On the volume.
      node: The step's id.
      adapted: From `translation.adapt_input`; the outputs' directories must exist.
      arguments: Beam's.
      worker_pools: See `pipeline.config.profile.Beam`.

    Raises:
      ConfigurationError: If the engine does not answer, or a worker does not see what the step writes there.
      SharedDirectoryError: If the volume is full, or cannot be written.
    """
    name = f"{node.lower()}-{hashlib.sha256(repr(_uris(adapted, 'outputs')).encode()).hexdigest()[:16]}"
    folder, paths = directory / name, dict[str, str]()
    options = tuple(text for text in arguments if not text.startswith(_OURS))
    beam = Beam(runner=value_of(arguments, "runner"), options=options, worker_pools=worker_pools)
    placed = {
        **adapted,
        "inputs": _place(adapted["inputs"], folder / "inputs", paths),
        "outputs": _place(adapted["outputs"], folder / "outputs", paths),
    }
    try:
        # The job of an attempt that was killed ends before its folder does.
        with _speaking(directory), _following(beam, name):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            check_engine(beam, folder, _first_file(adapted))
            inputs = [(paths[uri], Path(uri)) for uri in _uris(placed, "inputs")]
            _require_room(folder, [Path(local) for local, _ in inputs])
            for local, shared in inputs:
                _copy(Path(local), shared)
            for uri in _uris(placed, "outputs"):
                Path(uri).mkdir(parents=True)
            yield Shared(placed, folder, [*arguments, f"--job_name={name}"], paths)
            for uri in _uris(placed, "outputs"):
                _copy(Path(uri), Path(paths[uri]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _following(beam: Beam, name: str) -> Iterator[None]:
    notes: list[str] = []
    try:
        with following(flink_of(beam), name, [name], _Logged()) as notes:
            yield
    finally:
        for note in notes:
            _LOG.info(note)


def _copy(source: Path, target: Path) -> None:
    """A directory, or an artifact that is one file; links become what they point to."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    else:
        shutil.copytree(source, target, dirs_exist_ok=True)


def _place(half: Document, folder: Path, paths: dict[str, str]) -> Document:
    """Inputs or outputs with paths below `folder`; each is entered in `paths`."""
    artifacts: Document = {}
    for key, listed in half.get("artifacts", {}).items():
        artifacts[key] = {"artifacts": []}
        for i, artifact in enumerate(listed["artifacts"]):
            shared = str(folder / f"{key}-{i}")
            paths[shared] = artifact["uri"]
            artifacts[key]["artifacts"].append({**artifact, "uri": shared})
    return {**half, "artifacts": artifacts}


def _uris(document: Document, half: str) -> list[str]:
    listed = document[half].get("artifacts", {}).values()
    return [artifact["uri"] for each in listed for artifact in each["artifacts"]]


def _first_file(adapted: Document) -> list[Path]:
    """A file of the data, where the step reads any: workers must see it too."""
    data = adapted["inputs"].get("parameterValues", {}).get("input_base")
    files = (path for path in sorted(Path(data).rglob("*")) if path.is_file()) if data else iter(())
    return [file for file in [next(files, None)] if file]


def _require_room(folder: Path, inputs: Sequence[Path]) -> None:
    needed = sum(
        file.stat().st_size for path in inputs for file in [path, *path.rglob("*")] if file.is_file()
    )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed} bytes are needed for inputs and {free} are free")


@contextlib.contextmanager
def _speaking(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Of a directory's copy `shutil` gives texts alone.
        if error.errno in _FULL or any(os.strerror(number) in str(error) for number in _FULL):
            raise SharedDirectoryError(
                f"[kubeflow] shared_directory {directory} is full ({error.strerror or os.strerror(errno.ENOSPC)}): make room on its volume, or give it a "
                "larger one."
            ) from error
        if error.errno in _FORBIDDEN and str(directory) in str(error.filename or ""):
            raise SharedDirectoryError(
                f"[kubeflow] shared_directory {directory} cannot be written ({error.strerror}): mount its volume so that the "
                "step's user may."
            ) from error
        raise
