"""Whatever a setting is set to: the configuration is taken, or refused with status 2 and one short sentence."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import local_runner
from foundation.sections import ConfigurationError
from pipeline import config

KEYS = [
    "training.epochs", "training.global_batch_size", "training.batch_size_per_replica", "training.learning_rate",
    "training.seed", "training.workers", "training.strategy", "training.profile_steps", "training.cache",
    "training.warmup_epochs", "training.clip_norm", "training.momentum", "training.shuffle_rows", "training.nonsense",
    "model.kind", "model.embedding_dim", "model.hidden_units", "model.dropout", "model.encoder",
    "features.company", "features.company.kind", "features.company.size", "features.fare.kind", "features.new.kind",
    "label.task", "label.expression", "label.column", "label.class_weights", "label.max_missing", "label.heads",
    "splits.train", "splits.eval", "splits.by", "splits.time", "window.spans", "window.end", "window.missing",
    "gates.auc", "gates.auc.min", "gates.auc.max_drop", "gates.auc.slice_min", "gates.nothing.min", "gates.recall.max",
    "evaluation.slices", "evaluation.threshold", "evaluation.min_slice_rows", "metrics.f1", "loss.kind", "loss.delta",
    "source.format", "source.delimiter", "source.package", "source.path", "source.schema", "source.pattern",
    "source.null_values", "source.columns", "source.encoding", "beam.runner", "beam.direct_num_workers",
    "beam.options", "beam.direct_running_mode", "beam.worker_pools", "serving.address", "app.formats", "drift.action", "drift.window",
    "scoring.input", "scoring.output", "scoring.keys", "scoring.format", "scoring.logged_share",
    "scoring.k", "scoring.keep",
    "retention.runs", "retention.spans", "retention.reports", "notify.webhook", "notify.timeout_seconds",
    "notify.retries", "log.user",
    "kubeflow.image", "kubeflow.version", "steps.Trainer.gpus", "steps.Trainer.memory", "steps.default.environment",
]  # fmt: skip
PLAIN = st.one_of(
    st.integers(), st.sampled_from([0, -1, 2**31, 2**63, 10**20, 10**400]), st.floats(), st.booleans(),
    st.text(max_size=40), st.sampled_from(["", "auto", "x" * 5000, "../..", "{SPAN}", "a\0b", "\ud800", "binary"]),
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    # JSON's texts and whole numbers are TOML's; of the others TOML has lower-case names.
    return repr(value) if isinstance(value, float) else json.dumps(value)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_of_any_setting_is_taken_or_refused_in_one_short_sentence(key: str, value: Any) -> None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = local_runner.main(["--dry-run", "--set", f"{key}={as_toml(value)}"])
    error = said.getvalue()
    assert status in (0, 2), error
    assert (status == 0) == (not error) and "Traceback" not in error
    # A name that the user gave may hold a line end.
    assert len(error) <= 1010, error


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.seed=-5", "seed is -5; it must be 0 or more"),
        ("training.global_batch_size=100000000000000000000", "number of 21 digits"),
        ("training.global_batch_size=20000000", "at most 16,777,216"),
        ("model.embedding_dim=1000000", "from 1 to 65,536"),
        ("model.hidden_units=[2000000000]", "of 1 to 1,000,000 units"),
        ("features.company.size=10000000000000", "number of 14 digits"),
        ("gates.auc.min=2", "what no model has"),
        ("gates.recall.max=-0.5", "what no model has"),
        ("gates.auc.max_drop=5", "no model can fail"),
        ("gates.auc.slice_max_drop={company=1.5}", "no model can fail"),
        ("label.positive=inf", "no row would be positive"),
        ("label.class_weights={}", "class_weights is empty"),
        ("features.fare.missing=inf", "give a finite number"),
        ("features.fare.missing=nan", "missing is nan, which is no number"),
        ("features.company.max_length=1000000", "from 1 to 65,536"),
        ('features.fare={kind="bucketized", buckets=99999999}', "from 2 to 100,000"),
        ('source.path="a\\u0000b"', "path has a NUL"),
        ("beam.direct_num_workers=100000000", "from 0 (as many as it is worth) to 10,000"),
        ("notify.timeout_seconds=1e300", "at most 3,600"),
    ],
)
def test_a_number_beyond_reason_is_refused_before_anything_runs(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        config.load("taxi", "laptop", [override])
    assert message in str(raised.value)


def test_a_path_that_no_file_system_takes_is_no_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "orders.toml"
    dataset.write_text(
        'name = "orders"\n[source]\nformat = "csv"\npath = "' + "x" * 5000 + '"\n[label]\ntask = "binary"\n'
        'column = "paid"\n[features]\nprice = { kind = "numeric" }\n[training]\nglobal_batch_size = 8\n'
        "[gates.auc]\nmin = 0.5\n"
    )
    assert local_runner.main(["--dry-run", "--dataset", str(dataset)]) == 2
    error = capsys.readouterr().err
    assert "is not a directory" in error and len(error) <= 1010 and error.count("\n") == 1


@pytest.mark.parametrize("workdir", ["/dev/null", "/dev/null/runs", "gs://bucket/runs", "runs[1]"])
def test_a_dry_run_refuses_a_place_that_a_run_would(workdir: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert local_runner.main(["--dry-run", "--workdir", workdir]) == 2
    assert capsys.readouterr().err.startswith("--workdir ")
    assert not Path("gs:").exists()
