"""What the Evaluator says on a blessing, as the Pusher and TFX's own Evaluator know it."""

from pathlib import Path

from tfx import types
from tfx.components.evaluator import constants
from tfx.types.standard_component_specs import MODEL_KEY


def describe(
    blessing: types.Artifact, input_dict: dict[str, list[types.Artifact]], baselines: list[types.Artifact]
) -> None:
    """Says which models were compared, as TFX's Evaluator does."""
    (model,) = input_dict[MODEL_KEY]
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    for baseline in baselines:
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)


def bless(blessing: types.Artifact, passed: bool) -> None:
    """Says what the verdict says, as the Pusher reads it."""
    names = {False: constants.NOT_BLESSED_FILE_NAME, True: constants.BLESSED_FILE_NAME}
    (Path(blessing.uri) / names[not passed]).unlink(missing_ok=True)
    (Path(blessing.uri) / names[passed]).touch()
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(passed))
