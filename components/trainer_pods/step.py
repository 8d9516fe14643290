"""The declaration of the step Trainer, whose code is the learner's.

This folder's code is left out on purpose: only a training on several pods runs it, and there its `run_fn` is
part of the step's fingerprint (`pipeline.fingerprint.add_code`). On one machine an edit of it repeats nothing.
"""

from components.step import MODELS, TRAINING, Step

STEP = Step(
    "Trainer",
    after="Tuner",
    code=("trainer_module.run",),
    chosen=lambda config: config.settings.modules,
    optional_inputs=("base_model",),
    # It keeps there what it needs to continue after a retry.
    directories=lambda config: (TRAINING,) if config.settings.training.workers > 1 else (MODELS,),
)
