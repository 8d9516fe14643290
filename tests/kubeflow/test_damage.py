"""A compiled file that somebody, or a later TFX, has damaged: refused, although most servers would take it.

Kubeflow Pipelines 2.16.1 and 2.17.0 look at neither labels of executors, nor fields below executors, nor
inputs of tasks, and drop a platform document that they cannot read.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.sections import ConfigurationError
from pipeline.kubeflow import fields, lint
from tests.kubeflow.conftest import FULL

Document = dict[str, Any]


@pytest.fixture(scope="module")
def compiled_file(compiled: Callable[..., Path]) -> tuple[Document, Document]:
    spec, platform = yaml.load_all(compiled(*FULL).read_text(), yaml.CSafeLoader)
    return spec, platform


def task(spec: Document, node: str = "Trainer") -> Document:
    return spec["root"]["dag"]["tasks"][node]


def executors(spec: Document) -> Document:
    return spec["deploymentSpec"]["executors"]


def pod(platform: Document, label: str = "Trainer_executor") -> Document:
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][label]


DAMAGES: dict[str, tuple[Callable[[Document, Document], Any], str]] = {
    "a component whose executor is misspelled": (
        lambda s, p: s["components"]["Trainer"].update(executorLabel="Trainr_executor"),
        "Trainer is run by the executor Trainr_executor, which is not there: correct",
    ),
    "an executor that is gone": (
        lambda s, p: executors(s).pop("Pusher_executor"),
        "Pusher is run by the executor Pusher_executor, which is not there: correct",
    ),
    "an executor that nobody uses": (
        lambda s, p: executors(s).update(Spare_executor=executors(s)["Pusher_executor"]),
        "No step is run by the executor Spare_executor: remove it",
    ),
    "a component that is not there": (
        lambda s, p: task(s)["componentRef"].update(name="Trainr"),
        "Trainer is of the component Trainr, which is not there: correct",
    ),
    "an unknown field of the pipeline": (
        lambda s, p: s["pipelineInfo"].update(label="x"),
        "The pipeline sets pipelineInfo.label, which Kubeflow Pipelines does not know: remove it",
    ),
    "an unknown field of a step": (
        lambda s, p: task(s, "Transform")["cachingOptions"].update(enabled=True),
        "Transform sets root.dag.tasks.Transform.cachingOptions.enabled, which Kubeflow Pipelines does not know",
    ),
    "an unknown field of retries": (
        lambda s, p: task(s)["retryPolicy"].update(maxRetries=3),
        "Trainer sets root.dag.tasks.Trainer.retryPolicy.maxRetries, which",
    ),
    "an unknown field of a component": (
        lambda s, p: s["components"]["Pusher"]["inputDefinitions"].update(artefacts={}),
        "Pusher sets components.Pusher.inputDefinitions.artefacts, which",
    ),
    "an unknown field of an executor": (
        lambda s, p: executors(s)["Trainer_executor"]["container"].update(environment=[]),
        "Trainer sets deploymentSpec.executors.Trainer_executor.container.environment, which",
    ),
    "an unknown field of resources": (
        lambda s, p: executors(s)["Trainer_executor"]["container"]["resources"].update(gpuLimit="1"),
        "Trainer sets deploymentSpec.executors.Trainer_executor.container.resources.gpuLimit, which",
    ),
    "an unknown type": (
        lambda s, p: s["components"]["Trainer"]["inputDefinitions"]["parameters"]["run_fn"].update(
            parameterType="TEXT"
        ),
        "Trainer sets components.Trainer.inputDefinitions.parameters.run_fn.parameterType.TEXT, which",
    ),
    "a text for a number": (
        lambda s, p: task(s)["retryPolicy"].update(maxRetryCount="three"),
        "The specification holds what Kubeflow Pipelines cannot read",
    ),
    "a number for a text in an executor": (
        lambda s, p: executors(s)["Trainer_executor"]["container"].update(image=3),
        "The specification holds what Kubeflow Pipelines cannot read",
    ),
    "an executor that is a resolver": (
        lambda s, p: executors(s).update(Trainer_executor={"resolver": {}}),
        "Trainer_executor is a resolver, which open-source Kubeflow Pipelines does not run: replace it",
    ),
    "an artifact that a step needs and is not given": (
        lambda s, p: task(s)["inputs"]["artifacts"].pop("transform_graph"),
        "Trainer needs transform_graph of artifacts and is not given it: give it",
    ),
    "a parameter that a step needs and is not given": (
        lambda s, p: task(s)["inputs"]["parameters"].pop("run_fn"),
        "Trainer needs run_fn of parameters and is not given it: give it",
    ),
    "an artifact that no component declares": (
        lambda s, p: task(s, "Pusher")["inputs"]["artifacts"].update(
            spare=task(s)["inputs"]["artifacts"]["transform_graph"]
        ),
        "Pusher is given spare of artifacts, which its component does not declare: declare it",
    ),
    "a parameter that no component declares": (
        lambda s, p: task(s)["inputs"]["parameters"].update(spare={"runtimeValue": {"constant": "x"}}),
        "Trainer is given spare of parameters, which its component does not declare: declare it",
    ),
    "a step without its inputs": (
        lambda s, p: task(s, "Evaluator").pop("inputs"),
        "Evaluator needs model of artifacts and is not given it",
    ),
    "a producer that is not there": (
        lambda s, p: task(s)["inputs"]["artifacts"]["transform_graph"]["taskOutputArtifact"].update(
            producerTask="Transfrom"
        ),
        "Trainer reads transform_graph from Transfrom.transform_graph, which no step makes: fix",
    ),
    "a run parameter that is not declared": (
        lambda s, p: s["root"]["inputDefinitions"]["parameters"].pop("data_directory"),
        "reads the run parameter data_directory, which is not declared: declare it",
    ),
    "steps that are gone": (
        lambda s, p: s["root"].pop("dag"),
        "The compiled file lacks root.dag.tasks: write it",
    ),
    "a misspelled platform": (
        lambda s, p: p["platforms"].update(kuberntes=p["platforms"].pop("kubernetes")),
        "The compiled file lacks platforms.kubernetes.deploymentSpec.executors: write it",
    ),
    "an unknown field of the platform document": (
        lambda s, p: p["platforms"]["kubernetes"].update(deployment={}),
        "The pipeline sets platforms.kubernetes.deployment, which Kubeflow Pipelines does not know",
    ),
    "a pod of no executor": (
        lambda s, p: p["platforms"]["kubernetes"]["deploymentSpec"]["executors"].update(Trainer=pod(p)),
        "The platform document is about Trainer, which is no executor: it would be ignored; rename it",
    ),
    "an unknown key of a pod": (
        lambda s, p: pod(p).update(pvcMounts=[]),
        "Trainer_executor sets the platform key pvcMounts, which Kubeflow Pipelines does not know: remove it",
    ),
    "an unknown key of a mount": (
        lambda s, p: pod(p)["pvcMount"][0].update(path="/mnt"),
        "Trainer_executor sets the platform key pvcMount.path, which",
    ),
    "an unknown key far below a pod": (
        lambda s, p: pod(p)["secretAsEnv"][0]["secretNameParameter"]["runtimeValue"].update(value="x"),
        "Trainer_executor sets the platform key secretAsEnv.secretNameParameter.runtimeValue.value, which",
    ),
}  # fmt: skip


def test_the_file_as_it_is_compiled_passes(compiled_file: tuple[Document, Document]) -> None:
    lint.check(*compiled_file, (2, 16), [])


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_in_sentences_that_name_the_step_and_the_fix(
    compiled_file: tuple[Document, Document], name: str
) -> None:
    spec, platform = copy.deepcopy(compiled_file)
    damage, said = DAMAGES[name]
    damage(spec, platform)
    with pytest.raises(ConfigurationError) as error:
        lint.check(spec, platform, (2, 16), [])
    lines = str(error.value).splitlines()
    assert any(said in line for line in lines), lines
    assert all(": " in line and line.endswith(".") for line in lines), lines


def test_every_known_platform_field_is_one_that_the_file_can_set(
    compiled_file: tuple[Document, Document],
) -> None:
    """That KFP's own protocol buffers have them all is what `test_compile` asks of the same file."""
    set_by_the_file: set[tuple[str, ...]] = set()
    for settings in compiled_file[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        set_by_the_file |= set(_paths(settings))
    known = {key: below for key, (_, below) in fields.PLATFORM_FIELDS.items()}
    assert set(_paths(known)) == {path[:2] if "labels" in path else path for path in set_by_the_file}


def _paths(value: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of everything that has nothing below it."""
    if isinstance(value, list):
        return [path for entry in value for path in _paths(entry, above)]
    if not isinstance(value, dict) or not value:
        return [above]
    return [path for key, item in value.items() for path in _paths(item, (*above, key))]
