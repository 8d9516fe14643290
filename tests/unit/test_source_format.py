"""A format is one file: what is known of it before anything heavy is imported."""

from pathlib import Path

from components.example_gen import span_store
from components.example_gen.source_format import format_names
from pipeline.config import ROOT
from pipeline.fingerprint import imported_files
from tests.extension import copy_tree, run_python, write_from_readme

from .test_config import MINIMAL

CHECK = """
import sys
from pathlib import Path
from pipeline import config
from pipeline.running import inputs, preflight
try:
    preflight.find_source(config.load(sys.argv[1], "laptop", sys.argv[2:]))
except ValueError as error:
    print(error)
heavy = {"numpy", "pyarrow", "apache_beam", "tensorflow", "tfx"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or 0)
"""


def test_a_new_format_is_known_to_configuration_and_preflight(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    data = tmp_path / "orders"
    data.mkdir()
    dataset = tmp_path / "orders.toml"
    dataset.write_text(MINIMAL.replace('"csv"', '"jsonlines"').replace('"."', '"orders"'))
    before = run_python(tree, CHECK, str(dataset))
    assert "format is 'jsonlines'; it must be one of 'csv', 'parquet', 'tfrecord'." in before.stdout

    write_from_readme(tree, "components/example_gen/sources/jsonlines.py")
    assert "has no file that matches '*.jsonl'" in run_python(tree, CHECK, str(dataset)).stdout
    (data / "1.jsonl").write_text('{"price": 1.5, "bought": 1}\n')
    (data / "2.jsonl").touch()
    found = run_python(tree, CHECK, str(dataset))
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    spans = run_python(tree, CHECK, str(dataset), "source.pattern={SPAN}.jsonl")
    assert "Span 2, the newest, has no rows: bring them, or end the window earlier" in spans.stdout


def test_the_learner_and_the_graph_do_not_change_with_a_format_that_nobody_uses() -> None:
    formats = {ROOT / "components" / "example_gen" / "sources" / f"{name}.py" for name in format_names()}
    for entry in ("pipeline.graph", "trainer_module.run", "components.example_gen.columnar_examples"):
        assert not formats & set(imported_files(ROOT, entry)), entry


def test_a_query_changes_with_the_rows_that_it_reads_and_not_with_its_own_bytes(tmp_path: Path) -> None:
    query, rows = tmp_path / "1.sql", ["first"]
    query.write_text("select * from orders")

    def digest() -> dict[str, str]:
        return span_store.content_digests(tmp_path / "store", {"1": [query]}, lambda file: rows[0])

    before = digest()
    query.write_text("select  *  from orders")
    assert digest() == before
    rows[0] = "second"
    assert digest() != before
