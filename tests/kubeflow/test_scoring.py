"""The pipeline that predicts a table with the live model, compiled and run as Kubeflow Pipelines runs it."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.kubeflow.conftest import Site
from tests.kubeflow.emulator import Cluster, Run


@pytest.fixture(scope="module")
def package(site: Site) -> Path:
    """Predicts 300 rows, of which one cannot be read, in two files."""
    table, (source,) = site.directory / "volumes" / "data" / "new", site.data.glob("first.csv")
    table.mkdir()
    with source.open(newline="") as file:
        header, *rows = list(csv.reader(file))[:301]
    rows[7][header.index("trip_miles")] = "far"
    for part in range(2):
        with (table / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[150 * part : 150 * part + 150]])
    output = site.directory / "scoring.yaml"
    overrides = [
        f"scoring.input='{table}'",
        f"scoring.output='{site.directory}/volumes/models/scored'",
        "scoring.keys=['trip_start_timestamp']",
        "scoring.logged_share=0.5",
        f"drift.serving_logs='{site.directory}/volumes/data/requests'",
        "steps.Scorer.memory='6Gi'",
    ]
    done = site.compile(output, *overrides, flags=["--score"])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("Compiled taxi-scoring to ")
    return output


def test_it_is_one_step_that_mounts_what_it_reads_and_writes(package: Path) -> None:
    spec, platform = yaml.safe_load_all(package.read_text())
    assert spec["pipelineInfo"]["name"] == "taxi-scoring" and list(spec["root"]["dag"]["tasks"]) == ["Scorer"]
    assert set(spec["root"]["inputDefinitions"]["parameters"]) == {"input", "output", "model_version"}
    task, executors = spec["root"]["dag"]["tasks"]["Scorer"], spec["deploymentSpec"]["executors"]
    assert "cachingOptions" not in task and task["retryPolicy"]["maxRetryCount"] == 1
    assert executors["Scorer_executor"]["container"]["resources"]["resourceMemoryLimit"] == "6Gi"
    made = spec["components"]["Scorer"]["outputDefinitions"]["artifacts"]
    assert {key: output["artifactType"]["schemaTitle"] for key, output in made.items()} == {
        "summary": "system.Markdown",
        "rejected": "system.Dataset",
    }
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {name: [mount["constant"] for mount in pod["pvcMount"]] for name, pod in pods.items()} == {
        "Scorer_executor": ["data", "models"]
    }


def test_a_table_is_predicted_by_the_live_model_and_its_rejects_and_summary_are_artifacts(
    site: Site, cluster: Cluster, first_run: Run, package: Path
) -> None:
    live = site.versions()[-1]
    run = cluster.run(package)
    outputs = run.outputs["Scorer"]
    latest: dict[str, Any] = json.loads((site.directory / "volumes/models/scored/latest.json").read_text())
    assert (latest["rows"], latest["rejected"], latest["model_version"]) == (299, 1, live)
    parts = [pq.read_table(part) for part in sorted(Path(latest["output"]).glob("part-*.parquet"))]
    assert [part.num_rows for part in parts] == [149, 150]
    assert parts[0].column_names == ["trip_start_timestamp", "prediction", "model_version"]
    logs = list((site.directory / "volumes" / "data" / "requests").glob("*.tfrecord.gz"))
    assert len(logs) == 2

    summary = cluster.store.directory(outputs["summary"].uri).read_text()
    assert "| rows predicted | 299 |" in summary and f"| model version | {live} |" in summary
    assert outputs["summary"].metadata["rows"] == 299
    rejected = list(csv.reader(cluster.store.directory(outputs["rejected"].uri).open(newline="")))
    assert rejected[0] == ["trip_start_timestamp", "reason"]
    assert [row[1] for row in rejected[1:]] == ["trip_miles is 'far', and the model reads numbers"]
