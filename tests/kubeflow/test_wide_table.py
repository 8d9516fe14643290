"""A wide table whose names and values hold what a cluster replaces: 2,000 columns compiled, 500 run step by step.

The 500 have long names, so that their settings, too, are more than one argument of a process may hold (128 KiB).
"""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.kubeflow.wire_format import REPLACED
from tests.kubeflow.conftest import GRAPH, Site
from tests.kubeflow.emulator import Cluster, Run
from tests.kubeflow.object_store import Store

pytestmark = pytest.mark.timeout(3000)
COLUMNS, LONG_COLUMNS, ROWS = 2_000, 500, 60
LONG = "x" * 250
WON = """{{won}} "$(HOME)" $$ \\ 赢"""
NAMES = (
    "{{=1 + 1}} %d", "{{$.inputs.parameters['settings']}} %d", "{{workflow.name}} %d", "$(HOME) %d", "$$%d",
    '"quoted" %d', "it's %d", "back\\slash %d", "收入 %d", "a<b>&c %d", "{¦{ %d", "column %d",
)  # fmt: skip
VALUES = ("{{x}}", "$(PATH)", "$$", '"', "\\", "值", "")
# Of every forty columns; all others are given ids. Those are the cheapest to trace: Transform's time goes to
# tracing, to analyzers (one for each vocabulary, one for all numbers), and to tensors, three for each column
# and batch.
KINDS = {7: "numeric", 17: "bucketized", 27: "hashed", 37: "hashed"}
VOCABULARIES = 4
KEYS = {
    "numeric": "",
    "vocabulary": ", size = 10",
    "bucketized": ", buckets = 4",
    "categorical": ", size = 5",
    "hashed": ", buckets = 10",
}
# The first answer of 2,000 columns takes longer than a server's may, on a machine that does other things too.
EXTRA = ("app.formats=['dynamic']", "serving.answer_seconds=300", "serving.load_seconds=300")

Documents = tuple[dict[str, Any], dict[str, Any]]


def kind_of(number: int) -> str:
    return "vocabulary" if number < VOCABULARIES else KINDS.get(number % 40, "categorical")


def value_of(kind: str, chance: random.Random) -> str:
    if kind in ("vocabulary", "hashed"):
        return chance.choice(VALUES)
    return str(chance.randrange(5)) if kind == "categorical" else f"{chance.random():.3f}"


def toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("wide"), "wide")
    write(made, [NAMES[number % len(NAMES)] % number for number in range(COLUMNS - 1)])
    return made


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("long"), "wide")
    # A vocabulary's file is named after its column, and a file's name has 255 bytes at most.
    ends = ["" if kind_of(number) == "vocabulary" else LONG for number in range(LONG_COLUMNS - 1)]
    write(made, [NAMES[number % len(NAMES)] % number + end for number, end in enumerate(ends)])
    return made


def write(site: Site, names: list[str]) -> None:
    """The table, the description of it, and a cluster's profile."""
    site.data.mkdir(parents=True)
    site.write_profile()
    kinds = [kind_of(number) for number in range(len(names))]
    chance = random.Random(1)
    with (site.data / "rows.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*names, "outcome"])
        for _ in range(ROWS):
            outcome = WON if chance.random() < 0.5 else "lost"
            table.writerow([*(value_of(kind, chance) for kind in kinds), outcome])

    features = [f'{toml(name)} = {{ kind = "{kind}"{KEYS[kind]} }}' for name, kind in zip(names, kinds)]
    site.dataset.write_text(
        "\n".join(
            [
                'name = "wide"', "[source]", 'format = "csv"', f'path = "{site.data}"',
                "[label]", 'task = "binary"', f"expression = {toml(f'outcome == {WON!r}')}",
                "[features]", *features,
                "[model]", "embedding_dim = 2", "hidden_units = [8]",
                "[training]", "epochs = 1", "global_batch_size = 64",
                # Of a label that is the same in every row it is 0.
                "[gates.auc]", "min = 0.1",
            ]
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def package(wide: Site) -> Path:
    return compile_with(wide, "wide.yaml")


def compile_with(site: Site, name: str, *overrides: str) -> Path:
    output = site.directory / name
    done = site.compile(output, *overrides)
    assert done.returncode == 0, done.stderr
    return output


def documents(package: Path) -> Documents:
    spec, platform = yaml.safe_load_all(package.read_text())
    return spec, platform


def texts_in(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for item in document.items() for part in item for text in texts_in(part)]
    if isinstance(document, list):
        return [text for part in document for text in texts_in(part)]
    return [document] if isinstance(document, str) else []


def cache_keys(spec: dict[str, Any]) -> dict[str, str]:
    """Step → what KFP's cache key holds of it (`cacheutils/cache.go`), besides its input artifacts."""
    keys = {}
    for node, task in spec["root"]["dag"]["tasks"].items():
        container = spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]
        parameters = task.get("inputs", {}).get("parameters", {})
        keys[node] = json.dumps([parameters, container["command"], container["args"], container["image"]])
    return keys


def test_nothing_in_the_file_is_replaced_on_its_way(package: Path) -> None:
    for document in documents(package):
        for text in texts_in(document):
            assert text == "{{$}}" or not REPLACED.search(text), text[:300]


def test_a_step_shows_how_its_settings_begin(package: Path) -> None:
    spec, _ = documents(package)
    for node, task in spec["root"]["dag"]["tasks"].items():
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            shown = source.get("runtimeValue", {}).get("constant", "")
            assert len(str(shown)) < 8 * 1024, (node, key)
    shown = spec["root"]["dag"]["tasks"]["ServingCheck"]["inputs"]["parameters"]["settings"]
    assert 'which begin with: {"features": {"' in shown["runtimeValue"]["constant"]
    assert '"kind": "categorical", "max_length": 20, ' in shown["runtimeValue"]["constant"]


def test_a_change_of_one_column_of_2000_is_a_change_of_the_steps_that_read_it(
    wide: Site, package: Path
) -> None:
    """The last column in order: what the page shows of the settings is the same but for their digest."""
    before = cache_keys(documents(package)[0])
    other = compile_with(wide, "other.yaml", "features.收入 1988.size=6")
    after = cache_keys(documents(other)[0])
    changed = {node for node in before if before[node] != after[node]}
    assert changed == {"Transform", "Trainer", "ServingCheck", "RunReport"}
    again = compile_with(wide, "again.yaml")
    assert again.read_bytes() == package.read_bytes()


@pytest.fixture(scope="module")
def long_run(long: Site, store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, Run]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), store, step_seconds=1800)
    return cluster, cluster.run(compile_with(long, "apps.yaml", *EXTRA))


def test_every_step_gets_its_settings_as_they_are(long: Site, long_run: tuple[Cluster, Run]) -> None:
    _, run = long_run
    assert set(run.outputs) == {*GRAPH, "AppExporter"}
    assert run.outputs["Evaluator"]["blessing"].metadata["blessed"] == 1
    (version,) = long.versions()
    learner = json.loads((long.serving / version / "assets.extra" / "learner.json").read_text())
    given = long.load().settings.to_json()
    assert learner["settings"] == {key: given[key] for key in ("features", "label", "model")}
    assert len(given["features"]) == LONG_COLUMNS - 1 and len(json.dumps(given)) > 128 * 1024


def test_a_reviewed_schema_of_many_columns_arrives_as_it_is(
    long: Site, long_run: tuple[Cluster, Run]
) -> None:
    cluster, run = long_run
    inferred = cluster.store.directory(run.outputs["SchemaGen"]["schema"].uri) / "schema.pbtxt"
    reviewed = long.directory / "wide.schema.pbtxt"
    reviewed.write_text("# Reviewed: {{x}} $(HOME) $$ ¦ 收入\n" + inferred.read_text())
    package = compile_with(long, "reviewed.yaml", "source.schema='wide.schema.pbtxt'")
    again = cluster.run(package, tasks=["ExampleGen", "SchemaGen"])
    arrived = cluster.store.directory(again.outputs["SchemaGen"]["schema"].uri) / "schema.pbtxt"
    assert arrived.read_text() == reviewed.read_text()
