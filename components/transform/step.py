"""The step's declaration."""

from components.step import Step

STEP = Step(
    "Transform",
    after="DataGate",
    code=("components.transform.component", "trainer_module.preprocessing"),
    chosen=lambda config: (
        *config.settings.preprocessing_modules,
        config.settings.label.rules.preprocessing.rpartition(".")[0],
    ),
    uses_beam=True,
    named_files=lambda config: config.settings.named_files,
)
