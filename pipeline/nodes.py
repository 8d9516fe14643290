"""The graph's steps in the order they run, known without importing TFX.

Each folder of `components` that has a module `step` declares one there; those that are TFX's own, and have
no folder, are declared here.
"""

import importlib.util
import pkgutil
from collections.abc import Iterable

import components
from components.step import Step

_WITHOUT_FOLDER = (Step("ExampleValidator", after="SchemaGen"),)


def _declared() -> Iterable[Step]:
    for module in pkgutil.iter_modules(components.__path__):
        path = f"components.{module.name}.step"
        if module.ispkg and importlib.util.find_spec(path):
            yield importlib.import_module(path).STEP
    yield from _WITHOUT_FOLDER


def _in_order(steps: Iterable[Step]) -> dict[str, Step]:
    """Each step after the one that it follows; followers of the same step are sorted by id."""
    followers: dict[str, list[Step]] = {}
    for step in sorted(steps, key=lambda step: step.id, reverse=True):
        followers.setdefault(step.after, []).append(step)
    ordered, pending = {}, followers.pop("", [])
    while pending:
        step = pending.pop()
        ordered[step.id] = step
        pending += followers.pop(step.id, [])
    if followers:
        raise ValueError(f"No step is called {', '.join(followers)}: correct `after` of what follows it.")
    return ordered


STEPS = _in_order(_declared())
"""Id → declaration, in the order the steps run."""

NODES = tuple(step.id for step in STEPS.values() if not step.on_cluster_only and not step.scores)
CLUSTER_NODES = tuple(step.id for step in STEPS.values() if step.on_cluster_only)
"""Nodes that the graph has on Kubeflow Pipelines alone, after all others."""
SCORING_NODES = tuple(step.id for step in STEPS.values() if step.scores)
"""Nodes of the other pipeline that there is on Kubeflow Pipelines: it predicts with the live model."""
