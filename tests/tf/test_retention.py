"""Artifacts of old runs, over a real metadata store: what goes, and what a served version still needs."""

import dataclasses
import json
from pathlib import Path

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as proto

from pipeline.metadata.identity import pipeline_name
from pipeline.running.retention import remove_old_artifacts, remove_old_reports
from pipeline.runs import metadata
from pipeline.runs.run import SUCCEEDED, Run, read_runs
from pipeline.workspace import Workspace, workspace_of

NODES = {"ExampleGen": "Examples", "Trainer": "Model", "Pusher": "PushedModel"}


class History:
    """Runs of a graph of three nodes, recorded as TFX records them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        workspace.root.mkdir(parents=True)
        self.store: mlmd.MetadataStore = metadata.open_store(workspace)
        self.types = {
            name: self.store.put_artifact_type(
                proto.ArtifactType(name=name, properties={}), can_add_fields=True
            )
            for name in NODES.values()
        }
        kinds = [
            self.store.put_context_type(proto.ContextType(name=name)) for name in ("pipeline", "pipeline_run")
        ]
        pipeline = proto.Context(type_id=kinds[0], name=pipeline_name(workspace))
        (self.pipeline,) = self.store.put_contexts([pipeline])
        self.pipeline_type, self.run_type = kinds
        self.execution_type = self.store.put_execution_type(proto.ExecutionType(name="node"))

    def run(self, cached: int | None = None) -> dict[str, int]:
        """Records one run; `cached` is the artifact that ExampleGen took from the cache. Artifact ids by node."""
        number = len(self.store.get_contexts())
        (run,) = self.store.put_contexts([proto.Context(type_id=self.run_type, name=f"run-{number}")])
        made: dict[str, int] = {}
        given: int | None = None
        for node, kind in NODES.items():
            artifact = (
                cached if cached is not None and node == "ExampleGen" else self._artifact(node, kind, number)
            )
            execution = proto.Execution(
                type_id=self.execution_type, last_known_state=proto.Execution.COMPLETE
            )
            (execution_id,) = self.store.put_executions([execution])
            self._event(execution_id, artifact, proto.Event.OUTPUT)
            if given is not None:
                self._event(execution_id, given, proto.Event.INPUT)
            self.store.put_attributions_and_associations(
                [],
                [
                    proto.Association(context_id=each, execution_id=execution_id)
                    for each in (self.pipeline, run)
                ],
            )
            given = made[node] = artifact
        return made

    def serve(self, number: int, **notes: object) -> None:
        release = self.workspace.serving / str(number) / "assets.extra" / "release.json"
        release.parent.mkdir(parents=True)
        release.write_text(json.dumps(notes))

    def there(self, *runs: dict[str, int]) -> list[list[str]]:
        """The nodes of each run whose artifact is live; the folder must say the same."""
        found = []
        for run in runs:
            artifacts = {node: self.store.get_artifacts_by_id([number])[0] for node, number in run.items()}
            live = [node for node, each in artifacts.items() if each.state == proto.Artifact.LIVE]
            assert live == [node for node, each in artifacts.items() if Path(each.uri).is_dir()]
            found.append(live)
        return found

    def _artifact(self, node: str, kind: str, number: int) -> int:
        folder = self.workspace.artifacts / node / "output" / str(10 * number + len(node))
        folder.mkdir(parents=True)
        artifact = proto.Artifact(type_id=self.types[kind], uri=str(folder), state=proto.Artifact.LIVE)
        artifact.custom_properties["pushed_version"].string_value = str(100 + number)
        return self.store.put_artifacts([artifact])[0]

    def _event(self, execution: int, artifact: int, kind: proto.Event.Type) -> None:
        self.store.put_events([proto.Event(artifact_id=artifact, execution_id=execution, type=kind)])


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(workspace_of(str(tmp_path), "daily"))


def test_what_the_last_runs_and_served_versions_need_stays(history: History) -> None:
    served, old, last = history.run(), history.run(), history.run()
    history.serve(101)
    assert remove_old_artifacts(history.store, history.workspace, 1) == 3
    assert history.there(served, old, last) == [[*NODES], [], [*NODES]]
    assert remove_old_artifacts(history.store, history.workspace, 1) == 0


def test_what_a_served_version_took_from_the_cache_stays(history: History) -> None:
    first = history.run()
    served, last = history.run(cached=first["ExampleGen"]), history.run()
    history.serve(102)
    remove_old_artifacts(history.store, history.workspace, 1)
    assert history.there(first, served, last) == [["ExampleGen"], [*NODES], [*NODES]]


def test_what_a_version_was_rolled_back_to_stays(history: History) -> None:
    origin, last = history.run(), history.run()
    history.serve(999, rolled_back_to=101)
    assert remove_old_artifacts(history.store, history.workspace, 1) == 0
    assert history.there(origin, last) == [[*NODES], [*NODES]]


def test_zero_keeps_everything(history: History) -> None:
    old, last = history.run(), history.run()
    assert remove_old_artifacts(history.store, history.workspace, 0) == 0
    assert history.there(old, last) == [[*NODES], [*NODES]]


def test_a_killed_removal_is_finished_and_what_a_failed_run_left_goes_too(history: History) -> None:
    last = history.run()
    half = history.workspace.artifacts / "Trainer" / "output" / ".3.removed"
    unrecorded = history.workspace.artifacts / "Trainer" / "output" / "4"
    other = history.workspace.artifacts / "Trainer" / ".system" / "5"
    for folder in (half, unrecorded, other):
        folder.mkdir(parents=True)
    assert remove_old_artifacts(history.store, history.workspace, 1) == 1
    assert not half.exists() and not unrecorded.exists() and other.exists()
    assert history.there(last) == [[*NODES]]


def test_reports_and_logs_of_old_runs_go_and_records_and_what_a_version_is_judged_by_stay(
    tmp_path: Path,
) -> None:
    workspace = workspace_of(str(tmp_path), "taxi")
    version = workspace.serving / "1"
    for directory in (workspace.logs, workspace.reports, version):
        directory.mkdir(parents=True)
    for number in range(1, 6):
        run = Run(SUCCEEDED, run_id=f"r{number}", sequence=number)
        # Of the second the version is there, of the third it is gone.
        pushed = {2: str(version), 3: str(workspace.serving / "3")}.get(number)
        dataclasses.replace(run, pushed_model=pushed).write(workspace)
        for file in (
            workspace.run_log(run.run_id),
            *(workspace.reports / f"r{number}.{kind}" for kind in ("html", "json")),
        ):
            file.write_text("x")
    (workspace.reports / "compare-r1-r3.html").write_text("somebody's")
    assert remove_old_reports(workspace, 0) == 0
    assert remove_old_reports(workspace, 2) == 2
    assert remove_old_reports(workspace, 2) == 0
    assert {file.name for file in workspace.reports.iterdir()} == {
        "compare-r1-r3.html", *(f"r{number}.{kind}" for number in (2, 4, 5) for kind in ("html", "json"))
    }  # fmt: skip
    assert {file.name for file in workspace.logs.iterdir()} == {f"run-r{number}.log" for number in (2, 4, 5)}
    assert len(read_runs(workspace)) == 5


def test_trap_another_pipeline_of_a_shared_store_keeps_its_artifacts(history: History) -> None:
    """Also where its folders have our paths, as on another machine: what is ours is what our runs made."""
    ours = history.run()
    last = history.run()
    (other,) = history.store.put_contexts([proto.Context(type_id=history.pipeline_type, name="other")])
    mine, history.pipeline = history.pipeline, other
    theirs = [history.run() for _ in range(2)]
    history.pipeline = mine
    remove_old_artifacts(history.store, history.workspace, 1)
    states = [
        {history.store.get_artifacts_by_id([each])[0].state for each in run.values()}
        for run in (ours, last, *theirs)
    ]
    live, deleted = {proto.Artifact.LIVE}, {proto.Artifact.DELETED}
    assert states == [deleted, live, live, live]
