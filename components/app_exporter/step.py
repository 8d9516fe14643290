"""The step's declaration."""

from components.step import Step

STEP = Step(
    "AppExporter",
    after="Pusher",
    code=("components.app_exporter.component",),
    files=(
        "components/app_exporter/encoding.mjs",
        "components/app_exporter/converter/uv.lock",
        "components/app_exporter/runtime/package-lock.json",
        "components/app_exporter/runtime/predict.mjs",
    ),
    # A model that is refused is not pushed.
    optional_inputs=("pushed_model",),
    is_wanted=lambda config: bool(config.app.formats),
)
