"""What KFP's own, newer SDK says of a compiled file; run in an environment of its own.

    uv run --isolated --no-project --with kfp==2.16.1 --with kfp-kubernetes==2.16.1 \
        python tests/kubeflow/judge.py FILE [--run DIRECTORY TASK...]

Reads both documents strictly with the SDK's protocol buffers, loads the file as a component, and, with
--run, has the SDK's local orchestrator run some of its tasks. Prints JSON.
"""

import json
import sys
from pathlib import Path

import kfp
import kfp.components
import yaml
from google.protobuf import json_format
from kfp import local
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2


def judge(package: Path) -> dict:
    """Raises json_format.ParseError on any field that the protocol buffers do not know."""
    spec, platform = yaml.safe_load_all(package.read_text())
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for pod in pods.values():
        json_format.ParseDict(pod, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    component = kfp.components.load_component_from_file(str(package))
    return {"kfp": kfp.__version__, "name": component.name, "pods": sorted(pods)}


def run(package: Path, directory: Path, tasks: list[str]) -> dict:
    """Runs `tasks` of the pipeline; returns their outputs."""
    spec, _ = yaml.safe_load_all(package.read_text())
    dag = spec["root"]["dag"]
    dag["tasks"] = {name: task for name, task in dag["tasks"].items() if name in tasks}
    for label, executor in spec["deploymentSpec"]["executors"].items():
        # The subprocess runner takes only what looks like one of the SDK's own components.
        executor["container"]["args"].append(f"--for_kfp_local={label}:kfp.dsl.executor_main")
    reduced = directory / "reduced.yaml"
    reduced.write_text(yaml.safe_dump(spec))
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(directory / "outputs"), raise_on_error=True
    )
    kfp.components.load_component_from_file(str(reduced))()
    found = {}
    for path in sorted((directory / "outputs").rglob("executor_output.json")):
        found[path.parent.name] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    package = Path(sys.argv[1])
    result = judge(package)
    if len(sys.argv) > 2:
        result["outputs"] = run(package, Path(sys.argv[3]), sys.argv[4:])
    print(json.dumps(result))
