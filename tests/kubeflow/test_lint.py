"""What a cluster would refuse, or silently do otherwise, is refused while compiling."""

import base64
import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from foundation.sections import ConfigurationError
from pipeline.kubeflow import lint, sizes

Document = dict[str, Any]

SPEC: Document = {
    "schemaVersion": "2.1.0",
    "pipelineInfo": {"name": "taxi"},
    "components": {
        "Make": {
            "executorLabel": "Make_executor",
            "inputDefinitions": {
                "parameters": {"folder": {"parameterType": "STRING"}, "text": {"parameterType": "STRING"}}
            },
            "outputDefinitions": {"artifacts": {"thing": {"artifactType": {"instanceSchema": ""}}}},
        },
        "Use": {
            "executorLabel": "Use_executor",
            "inputDefinitions": {"artifacts": {"thing": {"artifactType": {"instanceSchema": ""}}}},
        },
    },
    "deploymentSpec": {
        "executors": {
            "Make_executor": {"container": {"command": ["python"], "args": ["--input", "{{$}}"]}},
            "Use_executor": {"container": {"command": ["python"], "args": ["--input", "{{$}}"]}},
        }
    },
    "root": {
        "inputDefinitions": {"parameters": {"folder": {"parameterType": "STRING"}}},
        "dag": {
            "tasks": {
                "Make": {
                    "componentRef": {"name": "Make"},
                    "inputs": {
                        "parameters": {
                            "folder": {"componentInputParameter": "folder"},
                            "text": {"runtimeValue": {"constant": 'a {"json": {"is": "fine"}}'}},
                        }
                    },
                },
                "Use": {
                    "componentRef": {"name": "Use"},
                    "dependentTasks": ["Make"],
                    "inputs": {
                        "artifacts": {
                            "thing": {
                                "taskOutputArtifact": {"producerTask": "Make", "outputArtifactKey": "thing"}
                            }
                        }
                    },
                },
            }
        },
    },
}
POD: Document = {"pvcMount": [{"constant": "claim", "mountPath": "/mnt"}]}
PLATFORM: Document = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"Make_executor": POD}}}}}


def tasks(spec: Document) -> Document:
    return spec["root"]["dag"]["tasks"]


def pods(platform: Document) -> Document:
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def container(spec: Document) -> Document:
    return spec["deploymentSpec"]["executors"]["Use_executor"]


def incompressible(size: int) -> str:
    return base64.b64encode(random.Random(0).randbytes(size)).decode()[:size]


def rename(spec: Document, name: str) -> None:
    for table in (tasks(spec), spec["components"]):
        table[name] = table.pop("Use")


BREAKAGES: dict[str, tuple[Callable[[Document, Document], Any], str]] = {
    "schema 2.0": (lambda s, p: s.update(schemaVersion="2.0.0"), "runs 2.1.0; compile with"),
    "a resolver": (
        lambda s, p: s["deploymentSpec"]["executors"].update(Use_executor={"resolver": {}}),
        "Use_executor is a resolver, which open-source Kubeflow Pipelines does not run: replace it",
    ),
    "an unknown producer": (
        lambda s, p: tasks(s)["Use"]["inputs"]["artifacts"]["thing"]["taskOutputArtifact"].update(
            producerTask="Make_task"
        ),
        "Use reads thing from Make_task.thing, which no step makes: fix",
    ),
    "an output that the producer lacks": (
        lambda s, p: tasks(s)["Use"]["inputs"]["artifacts"]["thing"]["taskOutputArtifact"].update(
            outputArtifactKey="other"
        ),
        "Use reads thing from Make.other, which no step makes: fix",
    ),
    "an unknown dependency": (
        lambda s, p: tasks(s)["Use"].update(dependentTasks=["Nobody"]),
        "Use waits for Nobody, which is no step: add it",
    ),
    "an undeclared run parameter": (
        lambda s, p: s["root"].pop("inputDefinitions"),
        "Make reads the run parameter folder, which is not declared: declare it",
    ),
    "a parameter from another step": (
        lambda s, p: tasks(s)["Make"]["inputs"]["parameters"].update(x={"taskOutputParameter": {}}),
        "Make takes x from another step's output, which this release cannot resolve: write it",
    ),
    "an underscore in a step's name": (
        lambda s, p: rename(s, "Use_it"),
        "reserves the step name Use_it: use",
    ),
    "a reserved name": (lambda s, p: rename(s, "Make-driver"), "reserves the step name Make-driver: use"),
    "a long pipeline name": (
        lambda s, p: s["pipelineInfo"].update(name="t" * 51),
        "must be up to 50 lower-case letters, digits and hyphens: rename it",
    ),
    "braces in a constant": (
        lambda s, p: tasks(s)["Make"]["inputs"]["parameters"]["text"]["runtimeValue"].update(
            constant="{{$.inputs.parameters['folder']}}"
        ),
        "Make's parameter text contains {{, which the cluster would replace: pack it with",
    ),
    "a Kubernetes variable in an argument": (
        lambda s, p: s["deploymentSpec"]["executors"]["Use_executor"]["container"]["args"].append("$(HOME)"),
        "Use_executor has an argument with $(, which the cluster would replace: reword",
    ),
    "braces in an environment variable": (
        lambda s, p: container(s)["container"].update(env=[{"name": "GREETING", "value": "{{=1}}"}]),
        "[steps.Use] environment GREETING contains {{, which the cluster would replace: reword it, or keep",
    ),
    "braces in a node selector": (
        lambda s, p: pods(p)["Make_executor"].update(nodeSelector={"labels": {"pool": "{{pool}}"}}),
        "Make_executor sets nodeSelector with {{, which the cluster would replace, and which no name",
    ),
    "a graph that no process takes": (
        lambda s, p: tasks(s)["Make"]["inputs"]["parameters"].update(
            {f"text{n}": {"runtimeValue": {"constant": "<" * 8_000}} for n in range(3)}
        ),
        "The graph comes to 141 KiB of the 128 that Linux takes as one argument: name fewer columns",
    ),
    "a container that no process takes": (
        lambda s, p: container(s)["container"].update(env=[{"name": "SETTING_1", "value": "x" * 131_072}]),
        "Use's container comes to 128 KiB of the 128 that Linux takes as one argument: name fewer columns",
    ),
    "a component that no process takes": (
        lambda s, p: s["components"]["Use"]["inputDefinitions"].update(
            parameters={"text": {"parameterType": "STRING", "description": "x" * 131_072}}
        ),
        "Use's component comes to 128 KiB of the 128 that Linux takes as one argument: name fewer columns",
    ),
    "artifacts that no process takes": (
        lambda s, p: s["components"]["Make"]["outputDefinitions"]["artifacts"].update(
            {f"output{n}": {"artifactType": {"instanceSchema": ""}} for n in range(70)}
        ),
        "Make's parameters and artifacts come to 155 KiB of the 128 that Linux takes as one argument",
    ),
    "a run that Argo does not keep": (
        lambda s, p: [
            executor["container"].update(env=[{"name": "SETTING_1", "value": incompressible(120_000)}])
            for executor in s["deploymentSpec"]["executors"].values()
        ],
        "KiB of the 1024 that Argo keeps of it: set retries = 0 in [steps.default], name fewer",
    ),
    "a run that Argo does not keep after its retries": (
        lambda s, p: (
            container(s)["container"].update(env=[{"name": "SETTING_1", "value": incompressible(120_000)}]),
            tasks(s)["Use"].update(retryPolicy={"maxRetryCount": 4}),
        ),
        "KiB of the 1024 that Argo keeps of it: set retries = 0",
    ),
    "a label without an executor": (
        lambda s, p: pods(p).update(Mkae_executor=POD),
        "about Mkae_executor, which is no executor: it would be ignored; rename it",
    ),
    "an unknown platform key": (
        lambda s, p: pods(p).update(Make_executor={"pvcMounts": []}),
        "the platform key pvcMounts, which Kubeflow Pipelines does not know: remove it",
    ),
    "a platform key of a later release": (
        lambda s, p: pods(p).update(Make_executor={"securityContext": {"runAsUser": "1000"}}),
        'obeys since 2.16 and ignores before: remove the setting, or set [kubeflow] version = "2.16"',
    ),
    "a path of this machine": (
        lambda s, p: tasks(s)["Make"]["inputs"]["parameters"]["text"]["runtimeValue"].update(
            constant="module@/home/me/checkout/_wheels/module.whl"
        ),
        "names /home/me/checkout of this machine, which no container has: use import paths",
    ),
}


def run(spec: Document, platform: Document) -> None:
    lint.check(spec, platform, (2, 14), ["/home/me/checkout"])


def test_a_sound_specification_passes() -> None:
    run(SPEC, PLATFORM)


@pytest.mark.parametrize("name", BREAKAGES)
def test_refused_in_one_sentence_with_the_fix(name: str) -> None:
    spec, platform = copy.deepcopy(SPEC), copy.deepcopy(PLATFORM)
    change, said = BREAKAGES[name]
    change(spec, platform)
    with pytest.raises(ConfigurationError) as error:
        run(spec, platform)
    assert said in str(error.value)


def test_a_run_that_argo_compresses_passes() -> None:
    """Argo compresses what it keeps of the nodes, and only where it is too large otherwise."""
    spec = copy.deepcopy(SPEC)
    for node in ("Make", "Use"):
        spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]["env"] = [
            {"name": "TEXT", "value": "words " * 20_000}
        ]
    assert sizes.workflow_size(spec, PLATFORM) < sizes.LARGEST_WORKFLOW
    assert sizes.LARGEST_WORKFLOW < 2 * 6 * 120_000
    run(spec, PLATFORM)


def test_a_key_passes_where_the_release_has_it() -> None:
    platform = copy.deepcopy(PLATFORM)
    pods(platform)["Make_executor"]["securityContext"] = {"runAsUser": "1000"}
    lint.check(SPEC, platform, (2, 16), [])
