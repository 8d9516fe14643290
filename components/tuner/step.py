"""The step's declaration."""

from components.step import MODELS, Step

STEP = Step(
    "Tuner",
    after="Transform",
    # No import leads to the processes' own code.
    code=("components.tuner.component", "trainer_module.tuning.trial"),
    chosen=lambda config: config.settings.modules,
    is_wanted=lambda config: config.tuning.is_wanted,
    # It keeps there what it needs to continue after a retry.
    directories=lambda _: (MODELS,),
)
