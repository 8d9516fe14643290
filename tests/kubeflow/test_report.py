"""The report on Kubeflow Pipelines: artifacts of the types that KFP's own page shows."""

from collections.abc import Callable
from pathlib import Path

import yaml

from tests.kubeflow.conftest import WEAK
from tests.kubeflow.emulator import Cluster, Run


def test_the_outputs_have_kfps_own_types(compiled: Callable[..., Path]) -> None:
    spec, _ = yaml.safe_load_all(compiled(*WEAK).read_text())
    outputs = spec["components"]["RunReport"]["outputDefinitions"]["artifacts"]
    assert {key: output["artifactType"]["schemaTitle"] for key, output in outputs.items()} == {
        "report": "system.HTML",
        "metrics": "system.Metrics",
    }
    steps = spec["root"]["dag"]["tasks"]
    assert "RunReport" not in {name for task in steps.values() for name in task.get("dependentTasks", ())}


def test_the_report_is_one_html_file_and_the_metrics_are_numbers(cluster: Cluster, first_run: Run) -> None:
    """KFP's page reads `system.HTML` at its URI, and `system.Metrics` from its metadata."""
    outputs = first_run.outputs["RunReport"]
    file = cluster.store.directory(outputs["report"].uri)
    assert file.is_file()
    page = file.read_text()
    assert page.startswith("<!doctype html>")
    version = first_run.outputs["Pusher"]["pushed_model"].metadata["pushed_version"]
    assert f"Blessed and pushed as version {version}" in page
    for words in ("Nothing differs from the schema", "loss by epoch", "ROC curve", "Lineage of the model"):
        assert words in page, words
    assert "Could not be read" not in page
    numbers = {
        name: value
        for name, value in outputs["metrics"].metadata.items()
        if isinstance(value, (int, float)) and name not in ("is_external",)
    }
    assert 0.3 < numbers["auc"] <= 1 and numbers["example_count"] > 500
