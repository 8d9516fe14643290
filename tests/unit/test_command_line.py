"""The command line: exit status, one sentence on standard error, and answers without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

import local_runner
from pipeline.config import ROOT


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset", "nowhere"], "There is no dataset 'nowhere'"),
        (["--profile", "nowhere"], "There is no profile 'nowhere'"),
        (["--from", "Trainr"], "there is no such node"),
        (["--set", "training.epochs=0"], "epochs is 0"),
        (["--from", "Trainer"], "needs the outputs of an earlier run"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_one_sentence(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert local_runner.main([*arguments, "--workdir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert local_runner.main(["--dry-run", "--to", "Transform", "--workdir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Transform" in shown and "Trainer" not in shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["--dry-run"], ["--set", "training.epochs=0"]])
def test_answers_come_without_importing_anything_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, local_runner\n"
        "try: local_runner.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'tfx.components', 'apache_beam', 'numpy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_the_trainer_alone_refuses_what_is_not_transforms_output(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer_module", "--dataset", "datasets/taxi.toml"]
    paths = ["--examples", str(tmp_path), "--transform-graph", str(tmp_path), "--output", str(tmp_path / "o")]
    answer = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "is not an output of Transform" in answer.stderr


def test_the_trainer_alone_refuses_to_write_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "transform_fn").mkdir()
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "trainer_module", "--dataset", "datasets/taxi.toml"]
    given = ["--examples", str(tmp_path), "--transform-graph", str(tmp_path)]
    for output in ("file", "file/below"):
        answer = subprocess.run(
            [*command, *given, "--output", str(tmp_path / output)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (
            answer.returncode == 2 and "lies in, a file" in answer.stderr and "Traceback" not in answer.stderr
        )


def test_the_trainer_alone_reads_a_log_and_wants_its_items(tmp_path: Path) -> None:
    """It said that [log] was missing from a file that has it, so that no recommender could be trained by it."""
    (tmp_path / "graph" / "transform_fn").mkdir(parents=True)
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-train" / "rows.gz").touch()
    command = [sys.executable, "-m", "trainer_module", "--dataset", "datasets/shop.toml"]
    paths = [
        "--examples",
        str(tmp_path),
        "--transform-graph",
        str(tmp_path / "graph"),
        "--output",
        str(tmp_path),
    ]
    answer = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "has no Split-items/*.gz" in answer.stderr
