"""The code that leaves with a model: the encoding in Python and in JavaScript, without the kinds that it has not."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from foundation import project
from foundation.sections import ConfigurationError
from trainer_module.features import Feature
from trainer_module.settings import Settings

_HERE = Path(__file__).parent
_FILES = ("encoding.py", "encoding.mjs", "farmhash.py", "farmhash.mjs")


def kind_file(feature: Feature) -> str:
    """What the files of a feature's kind are called, without what follows the dot."""
    return feature.kind.replace(".", "_")


def check_exportable(settings: Settings, formats: Sequence[str]) -> None:
    """Refuses what no app could be made of, before anything is trained.

    Raises:
      ConfigurationError: In one sentence that names the way on.
    """
    if settings.log:
        if formats and getattr(settings.model, "second_stage", None):
            raise ConfigurationError(
                "An app answers in retrieval's order, and [model.second_stage] serves another: set its candidates to 0, "
                "or [app] formats = []."
            )
        if formats and settings.log.told_kinds:
            raise ConfigurationError(
                "An app's history has no kinds of events, and [log.events] in_requests tells the model them: set it to false, "
                "or [app] formats = []."
            )
        if formats and settings.log.context:
            raise ConfigurationError(
                "An app is asked with a history alone, and [log.context] has columns that requests have: remove them, or set "
                "[app] formats = []."
            )
        # Its inputs are a history, and no features.
        return
    if formats and not settings.label.columns:
        raise ConfigurationError(
            f"What a model loses in an app is measured with labels, and the task '{settings.label.task}' has none: "
            "set [app] formats = []."
        )
    for feature in settings.features:
        if formats and feature.app_obstacle:
            raise ConfigurationError(
                f"An app cannot encode the feature '{feature.name}': {feature.app_obstacle}, or set [app] formats = []."
            )
        for suffix, needed, leave_out in (
            (".py", bool(formats), "set [app] formats = []"),
            (".mjs", "tfjs" in formats, "leave tfjs out of [app] formats"),
        ):
            file = f"kinds/{kind_file(feature)}{suffix}"
            if needed and not (_HERE / file).is_file():
                # These are read where the exporter lies, and not in a project.
                where = ", in a checkout of this package, " if project.OWN else " "
                raise ConfigurationError(
                    f"An app cannot encode the feature '{feature.name}', whose kind is '{feature.kind}': write"
                    f"{where}components/app_exporter/{file}, or {leave_out}."
                )


def ship_code(features: Sequence[Feature], directory: Path) -> None:
    """Copies into `directory` what encodes `features`: JavaScript for those kinds that have it."""
    (directory / "kinds").mkdir(exist_ok=True)
    kinds = sorted({kind_file(feature) for feature in features})
    for file in [*_FILES, *(f"kinds/{kind}.py" for kind in kinds)]:
        shutil.copyfile(_HERE / file, directory / file)
    # Named one by one, so that tools that bundle an app's scripts find them.
    index = ""
    for kind in kinds:
        script = _HERE / "kinds" / f"{kind}.mjs"
        if script.is_file():
            shutil.copyfile(script, directory / "kinds" / script.name)
            index += f'export * as {kind} from "./{script.name}";\n'
    (directory / "kinds" / "index.mjs").write_text(index, encoding="utf-8")
