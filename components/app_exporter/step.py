"""The step's declaration."""

from pathlib import Path

from components.step import Step

_HERE = Path(__file__).parent
# What is loaded by its path, and what is not Python.
_OTHER_CODE = ("farmhash.py", "*.mjs", "kinds/*.*", "tfjs/converter/uv.lock", "tfjs/runtime/*.*")

STEP = Step(
    "AppExporter",
    after="Pusher",
    code=("components.app_exporter.component",),
    chosen=lambda config: config.settings.preprocessing_modules,
    files=tuple(
        str(path.relative_to(_HERE.parent.parent))
        for pattern in _OTHER_CODE
        for path in sorted(_HERE.glob(pattern))
    ),
    # A model that is refused is not pushed.
    optional_inputs=("pushed_model",),
    is_wanted=lambda config: bool(config.app.formats),
)
