"""Steps that take whole files in large batches leave what TFT and TFDV leave of all rows at once."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from google.protobuf import json_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_transform.tf_metadata import schema_utils
from tfx.types import standard_artifacts
from tfx.utils import io_utils
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components import example_files
from components.example_files import read_batches
from components.statistics_gen.component import Executor as StatisticsExecutor
from components.transform.component import Executor
from tests.tf.conftest import TABLES, TYPES, Transformed, make_rows

SPLITS = {"train": 200, "eval": 50}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Rows with every kind of hole in three files a split, the last of which is empty."""
    directory = tmp_path_factory.mktemp("inputs")
    examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
    examples.uri, schema.uri = str(directory / "examples"), str(directory / "schema")
    examples.split_names = json.dumps([*SPLITS])
    for split, count in SPLITS.items():
        mine = make_rows(200)[:count]
        (directory / "examples" / f"Split-{split}").mkdir(parents=True)
        for number, part in enumerate((mine[::2], mine[1::2], [])):
            path = directory / "examples" / f"Split-{split}" / f"data_tfrecord-{number:05d}-of-00003.gz"
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for row in part:
                    writer.write(_example(row))
    spec = {name: tf.io.VarLenFeature(kind) for name, kind in TYPES.items() if name != "action"}
    io_utils.write_pbtxt_file(f"{schema.uri}/schema.pbtxt", schema_utils.schema_from_feature_spec(spec))
    return {"examples": [examples], "schema": [schema]}


def _example(row: dict[str, list[Any]]) -> bytes:
    kinds = {tf.float32: ("float_list", tf.train.FloatList), tf.int64: ("int64_list", tf.train.Int64List)}
    features = {}
    for name, values in row.items():
        field, kind = kinds.get(TYPES[name], ("bytes_list", tf.train.BytesList))
        features[name] = tf.train.Feature(**{field: kind(value=values)} if values else {})
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def run(inputs: dict[str, list[Any]], directory: Path, tables: Any) -> Path:
    """Leaves the outputs of a Transform in `directory`."""
    graph, transformed = standard_artifacts.TransformGraph(), standard_artifacts.Examples()
    graph.uri, transformed.uri = str(directory / "graph"), str(directory / "examples")
    Executor().Do(
        inputs,
        {"transform_graph": [graph], "transformed_examples": [transformed]},
        {
            "preprocessing_fn": "trainer_module.preprocessing.preprocessing_fn",
            "custom_config": json.dumps(tables),
        },
    )
    assert sorted(json.loads(transformed.split_names)) == sorted(SPLITS)
    return directory


def read(files: Iterable[Path | str]) -> Counter[tuple[tuple[str, tuple[float, ...]], ...]]:
    """Transformed rows and how often each is there."""
    rows: Counter[Any] = Counter()
    for path in files:
        for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            rows[tuple((name, _values(features[name])) for name in sorted(features))] += 1
    return rows


def _values(feature: Any) -> tuple[float, ...]:
    # Means are sums in another order.
    return tuple(round(value, 5) for value in getattr(feature, feature.WhichOneof("kind")).value)


def test_the_same_rows_and_the_same_graph_as_tft_with_batches_of_its_own(
    inputs: dict[str, list[Any]], orders: Transformed, tmp_path: Path
) -> None:
    made = run(inputs, tmp_path, TABLES)
    assert read((made / "examples" / "Split-train").iterdir()) == read(orders.files)
    assert sum(read((made / "examples" / "Split-eval").iterdir()).values()) == SPLITS["eval"]
    ours, its = made / "graph", Path(orders.graph)
    assert {path.relative_to(ours) for path in ours.rglob("*")} == {
        path.relative_to(its) for path in its.rglob("*")
    }
    output = tft.TFTransformOutput(str(ours))
    assert output.transformed_feature_spec() == orders.output.transformed_feature_spec()
    assert output.raw_feature_spec() == orders.output.raw_feature_spec()
    assert output.vocabulary_by_name("brand") == orders.output.vocabulary_by_name("brand")


def test_batches_are_mapped_in_their_order_by_what_is_traced_once_for_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tf.data's own map traced and optimised a graph of 500 columns for each file, longer than the rows took."""
    monkeypatch.setattr(example_files, "_MAPPED_BYTES", 100)
    monkeypatch.setattr(example_files, "_FEWEST", 5)
    traces = []

    def double(batch: Any) -> Any:
        traces.append(batch)
        return tf.strings.join([batch, batch])

    traced, expected, sizes, found = example_files.trace(double), [], [], []
    for number in range(3):
        rows = [b"%010d" % (100 * number + row) for row in range(25)]
        with tf.io.TFRecordWriter(str(tmp_path / f"{number}.gz"), "GZIP") as writer:
            for row in rows:
                writer.write(row)
        expected += [row + row for row in rows]
        for batch in example_files.map_batches(str(tmp_path / f"{number}.gz"), traced):
            sizes.append(len(batch))
            found += batch.numpy().tolist()
    assert (found, sizes, len(traces)) == (expected, [10, 10, 5] * 3, 1)


def test_a_shard_becomes_a_shard_in_its_order_also_an_empty_one_and_nothing_else_is_left(
    inputs: dict[str, list[Any]], tmp_path: Path
) -> None:
    """Without an analyzer nothing is learned, and no file is read for it."""
    tables = {"features": {"weekday": TABLES["features"]["weekday"]}, "label": TABLES["label"]}
    made = run(inputs, tmp_path, tables) / "examples" / "Split-eval"
    names = [f"transformed_examples-{number:05d}-of-00003.gz" for number in range(3)]
    assert sorted(path.name for path in made.iterdir()) == names
    given = [row["weekday"][0] for row in make_rows(200)[:50]]
    for name, expected in zip(names, (given[::2], given[1::2], [])):
        records = tf.data.TFRecordDataset(str(made / name), "GZIP").as_numpy_iterator()
        rows = [tf.train.Example.FromString(record).features.feature["categorical"] for record in records]
        assert [row.int64_list.value[0] for row in rows] == expected


def test_statistics_are_those_of_tfdv_of_all_rows_at_once(
    inputs: dict[str, list[Any]], tmp_path: Path
) -> None:
    made = standard_artifacts.ExampleStatistics()
    made.uri = str(tmp_path)
    StatisticsExecutor().Do({"examples": inputs["examples"]}, {"statistics": [made]}, {})
    assert made.split_names == inputs["examples"][0].split_names
    for split, count in SPLITS.items():
        directory = Path(inputs["examples"][0].uri) / f"Split-{split}"
        files = [str(path) for path in sorted(directory.iterdir())]
        records = [*tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()]
        rows = ExamplesToRecordBatchDecoder(None).DecodeBatch(records)
        found = tfdv.load_stats_binary(str(tmp_path / f"Split-{split}" / "FeatureStats.pb"))
        assert found.datasets[0].num_examples == count
        assert described(found) == described(generate_statistics_in_memory(rows))


def described(statistics: Any) -> dict[str, Any]:
    """Feature → all that is known of it, but for the order of sums."""
    features = json_format.MessageToDict(statistics.datasets[0])["features"]
    return {feature["path"]["step"][0]: rounded(feature) for feature in features}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 9) if isinstance(value, float) else value


@pytest.mark.parametrize("size, batches", [(10, 1), (1 << 20, 2)])
def test_a_batch_of_long_rows_has_few_of_them(tmp_path: Path, size: int, batches: int) -> None:
    path = str(tmp_path / "long.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for _ in range(20):
            writer.write(bytes(size))
    assert len([*read_batches(path)]) == batches
