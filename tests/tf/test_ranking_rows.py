"""What the signature of ranks says of each sequence is what the Evaluator counts, and TFMA's mean of it is its metric."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.evaluator.ranking import evaluation
from components.evaluator.ranking.histories import read_histories, targets_of
from components.evaluator.ranking.measures import NO_RANK
from components.evaluator.ranking.slices import make_parts
from tests.tf.test_retrieval import ITEMS, example, make_network
from trainer_module.export import Archive
from trainer_module.log import USER
from trainer_module.retrieval import export
from trainer_module.retrieval.measures import MEASURES
from trainer_module.retrieval.signatures import RANKS

SEQUENCES = 60


def sequences() -> list[bytes]:
    """Several targets each, some of them twice, of what was taken before, or of what the catalogue lacks."""
    random = np.random.default_rng(4)
    made = []
    for number in range(SEQUENCES):
        history, targets = int(random.integers(0, 5)), int(random.integers(1, 15))
        names = [f"i{number}" for number in random.integers(0, ITEMS + 6, history + targets)]
        record = tf.train.Example.FromString(example(names, [*range(history), *[9] * targets], history))
        record.features.feature[USER].bytes_list.value.append(b"u%d" % number)
        made.append(record.SerializeToString())
    return made


def make_archive(directory: Path, repeats: bool) -> Archive:
    vocabulary = directory / "vocabulary"
    vocabulary.write_text("".join(f"i{number}\n" for number in range(ITEMS)))
    network = make_network(repeats)
    return export._archive(network, network._log, str(vocabulary), ITEMS)


def counted(directory: Path, ranks: np.ndarray, repeats: bool) -> dict[str, np.ndarray]:
    """What the Evaluator makes of ranks, [sequences, events]."""
    with tf.io.TFRecordWriter(str(directory / "zipped"), "GZIP") as file:
        for record in sequences():
            file.write(record)
    catalogue = pa.array([f"i{number}".encode() for number in range(ITEMS)], pa.binary())
    judged = read_histories([str(directory / "zipped")], catalogue)
    targets = targets_of(judged)
    targets = targets if repeats else targets.where(~targets.is_repeat)
    part = make_parts(judged, targets, np.ones(ITEMS, int), {}, ())[()]
    of_event = ranks[np.arange(ranks.shape[1]) < np.diff(judged.starts)[:, np.newaxis]]
    of_target = np.where(of_event > 0, of_event, NO_RANK)[targets.events]
    return dict(evaluation._of_users(part, of_target))


@pytest.mark.parametrize("repeats", [True, False])
def test_each_row_s_measures_are_those_that_the_evaluator_counts(repeats: bool, tmp_path: Path) -> None:
    """What the user had is no target where nothing is to be repeated; a row without one has no measure."""
    answer = make_archive(tmp_path, repeats).endpoints[RANKS](tf.constant(sequences()))
    expected = counted(tmp_path, answer[RANKS].numpy(), repeats)
    for name in MEASURES:
        values = answer[name].numpy()
        np.testing.assert_allclose(values[np.isfinite(values)], expected[name], atol=1e-6, err_msg=name)
    assert np.isnan(answer[MEASURES[0]].numpy()).any() == (len(expected[MEASURES[0]]) < SEQUENCES)
    assert 0 < expected["recall_10"].mean() < expected["recall_100"].mean() < 1


def test_tfma_s_mean_of_the_rows_is_the_metric(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, repeats=True)
    ranks = archive.endpoints[RANKS]
    expected = counted(tmp_path, ranks(tf.constant(sequences()))[RANKS].numpy(), repeats=True)
    model = str(tmp_path / "model")
    tf.saved_model.save(archive, model, signatures={RANKS: ranks})
    with tf.io.TFRecordWriter(str(tmp_path / "plain")) as file:
        for record in sequences():
            file.write(record)
    mean = tfma.MetricConfig(class_name="RowMean", module="components.evaluator.ranking.row_mean")
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=RANKS)],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_values={USER: "u7"})],
        metrics_specs=[tfma.MetricsSpec(output_names=list(MEASURES), metrics=[mean])],
    )
    result = tfma.run_model_analysis(
        eval_shared_model=tfma.default_eval_shared_model(model, eval_config=config),
        eval_config=config, data_location=str(tmp_path / "plain"), output_path=str(tmp_path / "evaluation"),
    )  # fmt: skip
    found = dict(result.slicing_metrics)
    for name in MEASURES:
        whole, of_user = (found[key][name][""]["row_mean"]["doubleValue"] for key in ((), ((USER, "u7"),)))
        assert whole == pytest.approx(expected[name].mean(), abs=1e-6)
        assert of_user == pytest.approx(expected[name][7], abs=1e-6)
