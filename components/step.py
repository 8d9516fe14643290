"""What a step's folder declares about the step: `STEP` in its module `step`, read without importing TFX.

The declaration is no part of the step's code: an edit of it repeats nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step of the graph. Functions are given the run's `pipeline.config.Config`.

    Attributes:
      id: The step's id in the graph.
      after: The step that it follows in listings and in ranges (``--from``, ``--to``); "" for the first.
      code: Dotted names of the modules that are its code, with all they import; empty for TFX's own code.
      chosen: Modules that the configuration names and the code runs, which no import statement shows.
      files: Paths, from the project's root, of files that are its code and not Python.
      named_files: Setting → path of a file or directory outside the artifact store that it names and the code reads.
        What lies there is part of the fingerprint of the code, and on a cluster the step is never cached.
      is_wanted: Whether the run's graph has the step.
      scores: Whether it is the step of the pipeline that predicts with the live model, and no step of the graph.
      on_cluster_only: Whether it is a step on Kubeflow Pipelines alone, after all others.
      never_cached: Whether it looks at directories: what lies in them is not in KFP's cache key.
      optional_inputs: Those that may hold nothing.
      shown_outputs: Output → KFP's own type of artifact, which KFP's page shows; each is one file.
      uses_beam: Whether it is a Beam pipeline, whose workers may be elsewhere.
      directories: Settings that name directories outside the artifact store that the step's pod mounts.
    """

    id: str
    after: str
    code: tuple[str, ...] = ()
    chosen: Callable[[Any], tuple[str, ...]] = lambda _: ()
    files: tuple[str, ...] = ()
    named_files: Callable[[Any], Mapping[str, str]] = lambda _: {}
    is_wanted: Callable[[Any], bool] = lambda _: True
    scores: bool = False
    on_cluster_only: bool = False
    never_cached: bool = False
    optional_inputs: tuple[str, ...] = ()
    shown_outputs: Mapping[str, str] = field(default_factory=dict)
    uses_beam: bool = False
    directories: Callable[[Any], tuple[str, ...]] = lambda _: ()


DATA = "data_directory"
MODELS = "models_directory"
TRAINING = "training_directory"
SHARED = "shared_directory"
SERVING_LOGS = "serving_logs of [drift]"
TO_SCORE, SCORED = "input of [scoring]", "output of [scoring]"
