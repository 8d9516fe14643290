"""The step's declaration."""

from components.step import MODELS, TRAINING, Step

POD_CODE = "components.trainer_pods.trial_pods"
"""Where trials have pods of their own, it is the step's code as well, and so is what those run."""

STEP = Step(
    "Tuner",
    after="Transform",
    # No import leads to the processes' own code.
    code=("components.tuner.component", "trainer_module.tuning.trial"),
    chosen=lambda config: (
        *config.settings.modules,
        *((POD_CODE, "trainer_module.tuning.worker") if config.tuning.pods else ()),
    ),
    is_wanted=lambda config: config.tuning.is_wanted,
    # It keeps there what it needs to continue after a retry.
    directories=lambda config: (TRAINING,) if config.tuning.pods else (MODELS,),
)
