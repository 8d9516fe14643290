"""The model that is live, as an input for the Evaluator, on every runner.

The Pusher pushes blessed models only, so the newest pushed model is the newest blessed one, and no
Resolver is needed: open-source Kubeflow Pipelines cannot run Resolvers.
"""

import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.pusher.versions import check_live


@component
def BaselineModel(
    push_directory: Parameter[str],
    live_model: Parameter[str],
    model: OutputArtifact[standard_artifacts.Model],
) -> None:
    """Copies the newest pushed model, or leaves the output empty where there is none yet.

    Args:
      push_directory: Where the Pusher puts versions.
      live_model: `identity` of the live model when the graph was built, or "" to look only when the
        step runs. It is part of the cache key: without it a cached step would hand on a model that
        is no longer live.
      model: A TFX model directory, or empty.

    Raises:
      VersionError: If the live model is damaged.
    """
    newest, found = check_live(Path(push_directory))
    model.set_string_custom_property("identity", found)
    if newest is not None:
        shutil.copytree(newest, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property("version", newest.name)
