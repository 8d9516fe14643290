"""Trains a ranking of items from sequences, in the same loop that trains on rows."""

import functools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import tf_keras as keras

from trainer_module.learner import Learner
from trainer_module.log import (
    BASKET,
    EVENT_KIND,
    FIRST_TARGET,
    ITEM,
    ITEMS,
    TIME,
    VOCABULARY,
    Log,
    context_name,
)
from trainer_module.retrieval.catalogue import Catalogue, read_catalogue, sequence_spec
from trainer_module.retrieval.export import export_recommender
from trainer_module.retrieval.network import IS_ROW
from trainer_module.second_stage.fitting import fit_stage
from trainer_module.second_stage.pairs import Find
from trainer_module.second_stage.settings import SecondStage


class RetrievalLearner(Learner):
    """See the module."""

    # Rows that only fill a batch up would be learned from, as targets and as what targets are told apart from.
    mask = IS_ROW

    @property
    def _log(self) -> Log:
        assert self.settings.log is not None
        return self.settings.log

    @cached_property
    def _split_files(self) -> tuple[list[str], list[str]]:
        """The files of sequences, and of items: both are splits of what Transform made."""
        files = self.job.train_files
        items = [file for file in files if f"Split-{ITEMS}" in file]
        return [file for file in files if file not in items], items

    @property
    def train_files(self) -> Sequence[str]:
        """Without the items'."""
        return self._split_files[0]

    @property
    def feature_spec(self) -> dict[str, Any]:
        """Of sequences."""
        return sequence_spec(self._log)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The items and what training saw of them."""
        sequences, items = self._split_files
        size = int(self.transform_output.vocabulary_size_by_name(VOCABULARY))
        return read_catalogue(items, sequences, super().feature_spec, self._log, size)

    def build(self) -> keras.Model:
        """A model from a batch of sequences to the loss of each."""
        network = self.settings.model.build_network(self.settings, self.catalogue)
        lists = [ITEM, TIME, BASKET, *([EVENT_KIND] if self._log.events else [])]
        lists += [context_name(column) for column in self._log.context]
        inputs = {name: keras.Input((self._log.length,), dtype="int64", name=name) for name in lists}
        inputs[FIRST_TARGET] = keras.Input((), dtype="int64", name=FIRST_TARGET)
        inputs[IS_ROW] = keras.Input((), dtype="float32", name=IS_ROW)
        return keras.Model(inputs, network(inputs), name="model")

    def compile(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, steps_per_execution: int
    ) -> None:
        """The model's output is its loss."""
        # The optimizer's, as all replicas have it, and a training that continues has it again.
        model.get_layer("network").draw_by(lambda: optimizer.iterations)
        model.compile(optimizer=optimizer, loss=_given, steps_per_execution=steps_per_execution)

    def export(self, model: keras.Model) -> None:
        """See `export_recommender`."""
        second = getattr(self.settings.model, "second_stage", None)
        fit = functools.partial(self._fit_second, second) if second else None
        export_recommender(
            model, self.settings, self.catalogue, self.transform_output, self.job.model_directory, fit
        )

    def _fit_second(self, second: SecondStage, network: Any, find: Find | None) -> Any:
        return fit_stage(second, network, self._log, self.train_files, self.settings.training.seed, find)


def _given(labels: Any, losses: Any) -> Any:
    """The losses that the model computed: a sequence has targets and no label."""
    del labels
    return losses
