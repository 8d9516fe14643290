"""The declaration of the step Trainer, whose code is the learner's."""

from components.step import MODELS, TRAINING, Step

STEP = Step(
    "Trainer",
    after="Transform",
    code=("trainer_module.run",),
    chosen=lambda config: config.settings.modules,
    optional_inputs=("base_model",),
    # It keeps there what it needs to continue after a retry.
    directories=lambda config: (TRAINING,) if config.settings.training.workers > 1 else (MODELS,),
)
