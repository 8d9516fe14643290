"""What a training asks of the kind of model that it trains: here one of rows with labels."""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow_transform as tft
import tf_keras as keras

from foundation import registry
from trainer_module.export import export_model
from trainer_module.job import Job
from trainer_module.model import build_model, compile_model
from trainer_module.settings import Settings


class Learner:
    """Builds, compiles and exports the model of a job."""

    mask: ClassVar[str] = ""
    """Name of the model's input that tells rows from places beyond them; see `make_batches`."""

    def __init__(self, job: Job, transform_output: tft.TFTransformOutput) -> None:
        """`transform_output` is what the job's examples were made by."""
        self.job, self.transform_output = job, transform_output

    @property
    def settings(self) -> Settings:
        """What the model is to be like."""
        return self.job.settings

    @property
    def train_files(self) -> Sequence[str]:
        """The files with what is learned from."""
        return self.job.train_files

    @property
    def feature_spec(self) -> dict[str, Any]:
        """Of what a training reads of the examples."""
        return self.transform_output.transformed_feature_spec()

    def build(self) -> keras.Model:
        """An uncompiled model, under the current strategy and precision."""
        return build_model(self.settings, self.settings.label.rules.outputs(self.transform_output))

    def compile(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, steps_per_execution: int
    ) -> None:
        """Gives `model` its loss and metrics."""
        compile_model(model, self.settings, optimizer, steps_per_execution)

    def export(self, model: keras.Model) -> None:
        """Writes the SavedModel of a trained model."""
        export_model(model, self.settings, self.transform_output, self.job.model_directory)


def make_learner(job: Job, transform_output: tft.TFTransformOutput) -> Learner:
    """The learner of the job's task."""
    learner: Learner = registry.find_object(job.settings.label.rules.learner)(job, transform_output)
    return learner
