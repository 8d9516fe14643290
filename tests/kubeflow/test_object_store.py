"""The S3 server that holds the emulator's artifacts is a real one, and the session's own."""

from pathlib import Path

import psutil
import pytest

from tests.kubeflow.object_store import Credentials, Store, serving

URI = "minio://mlpipeline/v2/tests"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "variables").mkdir(parents=True)
    (directory / "empty directory").mkdir()
    (directory / "saved_model.pb").write_bytes(bytes(range(256)) * 50_000)
    (directory / "variables" / "empty file").write_text("")
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_what_is_uploaded_comes_back_without_empty_directories(
    store: Store, files: Path, tmp_path: Path
) -> None:
    assert store.upload(files, f"{URI}/model") == 2
    assert store.upload(files / "saved_model.pb", f"{URI}/model-of-another") == 1
    assert store.download(f"{URI}/model", tmp_path / "back") == 2, (
        "only what lies below, not what begins alike"
    )
    assert contents(tmp_path / "back") == contents(files)
    assert not (tmp_path / "back" / "empty directory").exists()
    assert store.directory(f"{URI}/model-of-another").read_bytes() == (files / "saved_model.pb").read_bytes()


def test_where_nothing_was_uploaded_nothing_comes_back(store: Store, tmp_path: Path) -> None:
    assert store.upload(tmp_path / "absent", f"{URI}/absent") == 0
    assert store.download(f"{URI}/absent", tmp_path / "back") == 0
    assert not (tmp_path / "back").exists() and not store.directory(f"{URI}/absent").exists()


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_each_scheme_has_a_store_of_its_own(store: Store, files: Path, tmp_path: Path, scheme: str) -> None:
    store.upload(files, f"{URI}/of-minio")
    assert store.download(f"{scheme}://mlpipeline/v2/tests/of-minio", tmp_path / "back") == 0


@pytest.mark.parametrize("part", ["access key", "secret key"])
def test_a_request_with_other_credentials_is_refused(
    object_store: tuple[str, Credentials], files: Path, tmp_path: Path, part: str
) -> None:
    address, right = object_store
    wrong = (
        Credentials("other", right.secret_key)
        if part == "access key"
        else Credentials(right.access_key, "other")
    )
    with pytest.raises(OSError, match=r"SIGNATURE_DOES_NOT_MATCH|INVALID_ACCESS_KEY_ID"):
        Store(address, wrong, tmp_path).upload(files, f"{URI}/refused")


def test_the_server_leaves_neither_a_process_nor_a_file(tmp_path: Path, files: Path) -> None:
    with serving(tmp_path / "server") as served:
        store = Store(*served, tmp_path)
        store.create_bucket("minio", "mlpipeline")
        store.upload(files, f"{URI}/model")
        (server,) = [p for p in psutil.Process().children() if str(tmp_path) in " ".join(p.cmdline())]
    assert not server.is_running()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
