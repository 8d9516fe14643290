"""The pipeline that predicts with the live model on Kubeflow Pipelines, scheduled apart from training's.

Apart, because tables to predict come when they come: a training that fails, or that a gate stops, keeps nobody from his
predictions, and a table that cannot be read keeps no model from being trained.
"""

from collections.abc import Mapping
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.workspace import Workspace

TABLE, OUTPUT, VERSION = "input", "output", "model_version"


def name_of(config: Config) -> str:
    """What the pipeline is called on the server."""
    return f"{config.name}-scoring"


def run_parameters(config: Config) -> dict[str, dict[str, str]]:
    """The parameters of a run, as `root.inputDefinitions.parameters` of the specification.

    Raises:
      ConfigurationError: If the configuration does not say what is predicted, or where to.
    """
    asked = config.scoring
    for key, path in (("input", asked.input), ("output", asked.output)):
        if not path.startswith("/"):
            raise ConfigurationError(
                f"[scoring] {key} is {path!r}; on a cluster it must be an absolute path inside the containers, on a mounted "
                "volume."
            )
    described = {
        TABLE: (asked.input, "The table or log: a file or a directory, on a mounted volume."),
        OUTPUT: (asked.output, "Directory for the predictions, on a mounted volume."),
        VERSION: ("", "A pushed version; empty for the live one."),
    }
    return {
        name: {"parameterType": "STRING", "defaultValue": default, "description": description}
        for name, (default, description) in described.items()
    }


def build(config: Config, workspace: Workspace, given: Mapping[str, Any]) -> Any:
    """Wires the pipeline.

    Args:
      config: What it does.
      workspace: Where the pushed versions are.
      given: Run parameter → `RuntimeParameter`.

    Returns:
      A TFX pipeline.
    """
    # Here and not above: importing TFX takes seconds, and a wrong configuration is answered at once.
    from tfx.orchestration.pipeline import Pipeline

    from components.scoring.component import Scorer

    asked = config.scoring
    scorer = Scorer(
        asked, config.reading, config.settings.log,
        table=given[TABLE], output=given[OUTPUT], model_version=given[VERSION], name=config.name,
        serving_directory=str(workspace.serving), files=config.source.files, file_format=config.source.format,
        request_log=str(config.request_log) if asked.logged_share else "",
    ).with_id("Scorer")  # fmt: skip
    return Pipeline(
        pipeline_name=name_of(config),
        pipeline_root=str(workspace.artifacts),
        components=[scorer],
        enable_cache=False,
        beam_pipeline_args=config.beam.arguments(),
    )
