"""A serving directory in which others put things too."""

from pathlib import Path

import pytest

from components.pusher.versions import VersionError, check_live, list_versions, prune, publish, roll_back
from foundation.saved_model import identity
from pipeline import models

from .test_full_disks import make_model, make_serving, memory_only

__all__ = ["memory_only"]


def put_file(path: Path) -> None:
    path.write_text("somebody's")


def put_directory(path: Path) -> None:
    path.mkdir()
    (path / "somebody's").write_text("")


def put_link(path: Path) -> None:
    path.symlink_to("/etc")


@pytest.mark.parametrize("put", [put_file, put_directory, put_link])
@pytest.mark.parametrize(
    "name",
    [".1.unfinished", ".1.removed", ".2.removed", "3", "²", "٣", "007", "9" * 30, "notes", ".hidden", "-1", "1.5"],
)  # fmt: skip
def test_a_foreign_entry_breaks_nothing(tmp_path: Path, name: str, put: object) -> None:
    serving = make_serving(tmp_path)
    assert callable(put)
    put(serving / name)
    pushed = publish(make_model(tmp_path / "third", b"third"), serving, {})
    assert check_live(serving)[0] == pushed
    assert len(prune(serving, 2)) == 1
    assert check_live(serving)[0] == pushed
    older = [
        version.number for version in list_versions(serving) if (version.path / "saved_model.pb").is_file()
    ]
    assert len(older) == 2
    assert identity(roll_back(serving, older[-1])) == identity(tmp_path / "second")
    if not name.endswith((".unfinished", ".removed")):
        assert (serving / name).exists(), "what is not ours stays"


def test_a_directory_without_a_model_does_not_count_towards_those_that_are_kept(tmp_path: Path) -> None:
    serving = make_serving(tmp_path)
    newest = list_versions(serving)[0].number
    (serving / str(newest + 5)).mkdir()
    assert prune(serving, 2) == []
    assert len(prune(serving, 1)) == 1 and (serving / str(newest + 5)).is_dir()


def test_a_name_that_is_taken_by_a_file_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = tmp_path / "taxi"
    serving.mkdir()
    monkeypatch.setattr("time.time", lambda: 50.0)
    put_file(serving / "50")
    put_link(serving / "51")
    assert publish(make_model(tmp_path / "model", b"m"), serving, {}).name == "52"


def test_a_damaged_live_version_is_named_with_the_one_to_go_back_to_and_its_repair_is_noticed(
    tmp_path: Path,
) -> None:
    serving = make_serving(tmp_path)
    newest, before = list_versions(serving)
    variables = newest.path / "variables" / "variables.data-00000-of-00001"
    whole = identity(newest.path)
    # As many bytes as before: no size gives it away.
    variables.write_bytes(b"sEcond")
    with pytest.raises(VersionError, match=rf"{newest.number} .* is damaged.*rollback {before.number}\.$"):
        check_live(serving)
    assert identity(newest.path) != whole
    variables.write_bytes(b"second")
    assert check_live(serving)[0] == newest.path and identity(newest.path) == whole
    variables.write_bytes(b"")
    assert check_live(serving.parent / "nobody")[0] is None
    assert identity(check_live(roll_back(serving, before.number).parent)[0]) == identity(before.path)


def test_pruning_leaves_a_version_to_go_back_to_where_the_live_one_is_damaged(tmp_path: Path) -> None:
    serving = make_serving(tmp_path)
    publish(make_model(tmp_path / "third", b"third"), serving, {})
    newest, middle, oldest = list_versions(serving)
    for version in (newest, middle):
        (version.path / "variables" / "variables.data-00000-of-00001").write_bytes(b"rotten")
    assert prune(serving, 1) == [middle.number]
    roll_back(serving, oldest.number)
    assert identity(check_live(serving)[0]) == identity(tmp_path / "first")
    assert prune(serving, 1) == [newest.number, oldest.number]


@pytest.mark.parametrize("dataset", ["nope", "", "..", "a/b", "/etc"])
def test_versions_of_a_pipeline_that_is_none_are_not_none_pushed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str
) -> None:
    assert models.main(["--workdir", str(tmp_path), "--dataset", dataset]) == 2
    assert "correct --dataset or --workdir" in capsys.readouterr().err


@pytest.mark.parametrize(
    "notes",
    [
        '{"metrics": {"auc": "high"}, "pushed": 7}',
        '{"metrics": [1], "code_fingerprint": null}',
        "[" * 100_000,
    ],
)
def test_what_somebody_wrote_about_a_version_never_breaks_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], notes: str
) -> None:
    serving = make_serving(tmp_path)
    (list_versions(serving)[0].path / "assets.extra" / "release.json").write_text(notes)
    assert models.main(["--workdir", str(tmp_path), "--dataset", "serving"]) == 0
    (tmp_path / "taxi" / "serving").mkdir(parents=True)
    serving.rename(tmp_path / "taxi" / "serving" / "taxi")
    assert models.main(["--workdir", str(tmp_path)]) == 0
    assert "live" in capsys.readouterr().out
