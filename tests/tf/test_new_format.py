"""A format that a newcomer adds is converted by ExampleGen as those that ship are."""

import json
from pathlib import Path

import tensorflow as tf

from tests.extension import copy_tree, run_python, write_from_readme

CONVERT = """
import json, sys
from pathlib import Path
from pipeline import config
from pipeline.running import preflight
from components.example_gen.component import Executor
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

work = Path(sys.argv[1])
loaded = config.load(str(work / "orders.toml"), "laptop")
source = preflight.find_source(loaded)
outputs = {key: standard_artifacts.Examples() for key in ("examples", "newest")}
for key, artifact in outputs.items():
    artifact.uri = str(work / key)
    (work / key).mkdir()
context = base_beam_executor.BaseBeamExecutor.Context(
    beam_pipeline_args=["--runner=DirectRunner", "--sdk_container_image=unused"], tmp_dir=str(work), unique_id="1"
)
Executor(context).Do({}, {key: [artifact] for key, artifact in outputs.items()}, {
    "input_base": str(source), "pattern": loaded.source.files, "file_format": loaded.source.format,
    "splits": '{"train": 2, "eval": 1}', "column_types": "{}",
    "window": json.dumps({"spans": 2, "missing": "fail", "duplicate": "fail"}), "window_end": "",
    "window_fingerprint": "", "store": str(work / "store"), "conversion_fingerprint": "1", "reading": "", "code_fingerprint": "1",
})
"""

DATASET = """
name = "orders"
[source]
format = "jsonlines"
path = "data"
pattern = "{SPAN}.jsonl"
[window]
spans = 2
[label]
task = "binary"
column = "bought"
[features]
price = { kind = "numeric" }
[training]
global_batch_size = 32
[gates.auc]
min = 0.5
"""


def test_json_lines_become_examples_by_one_file(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    write_from_readme(tree, "components/example_gen/sources/jsonlines.py")
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    (work / "orders.toml").write_text(DATASET)
    for span in (1, 2):
        rows = [{"price": 100 * span + row + 0.5, "bought": row % 2, "name": f"ü{row}"} for row in range(30)]
        (work / "data" / f"{span}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_python(tree, CONVERT, str(work))
    assert done.returncode == 0, done.stderr
    files = [str(file) for file in work.glob("newest/Split-*/*")]
    records = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    found = [tf.train.Example.FromString(record).features.feature for record in records]
    assert len(found) == 60
    values = sorted(
        (
            f["price"].float_list.value[0],
            f["bought"].int64_list.value[0],
            f["name"].bytes_list.value[0].decode(),
        )
        for f in found
    )
    assert values == [(100 * span + row + 0.5, row % 2, f"ü{row}") for span in (1, 2) for row in range(30)]
    (manifest, _) = sorted(work.glob("store/*/manifest.json"))
    assert json.loads(manifest.read_text())["columns"] == {"bought": "INT", "name": "BYTES", "price": "FLOAT"}
