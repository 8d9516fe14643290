"""What the entrypoint makes of KFP's documents, and what it hands back; no process, no TFX."""

import pytest

from foundation.sections import ConfigurationError
from pipeline.kubeflow import translation

MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
SPEC = {"artifacts": {"model": {"artifactType": MODEL}, "baseline": {"artifactType": MODEL}}}
URI = "minio://mlpipeline/v2/artifacts/taxi/run/Trainer/uuid/model"
FUTURE_TITLE = {"schemaTitle": MODEL["instanceSchema"]}


def given(uri: str = URI, name: str = "7", kind: dict[str, str] | None = None, **metadata: object) -> dict:
    return {
        "inputs": {
            "parameterValues": {"size": 3.0},
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "name": name,
                            "type": {"instanceSchema": ""} if kind is None else kind,
                            "uri": uri,
                            "metadata": {"display_name": "model", "store_session_info": "{}", **metadata},
                        }
                    ]
                }
            },
        },
        "outputs": {
            "artifacts": {
                "model": {"artifacts": [{"name": "model", "type": MODEL, "uri": uri + "-out"}]},
                "executor-logs": {
                    "artifacts": [
                        {
                            "name": "executor-logs",
                            "type": {"schemaTitle": "system.Artifact"},
                            "uri": uri + "-logs",
                        }
                    ]
                },
            },
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }


def adapted_input(**changes: object) -> dict:
    adapted = translation.adapt_input(given(**changes), SPEC, SPEC)
    return adapted["inputs"]["artifacts"]["model"]["artifacts"][0]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://bucket/key", "/minio/bucket/key"),
        ("s3://bucket/key", "/s3/bucket/key"),
        ("gs://bucket/key", "/gcs/bucket/key"),
        ("/mnt/artifacts/key", "/mnt/artifacts/key"),
    ],
)
def test_uris_are_the_launchers_local_paths(uri: str, path: str) -> None:
    assert translation.local_path(uri) == path
    assert adapted_input(uri=uri)["uri"] == path


def test_a_store_that_the_launcher_does_not_transfer_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"oci://x is in a store .* use a pipeline root"):
        translation.local_path("oci://x")


@pytest.mark.parametrize(
    "kind", [{"instanceSchema": ""}, {}, {"schemaTitle": "system.Artifact"}, FUTURE_TITLE]
)
def test_types_come_from_the_component_whatever_kfp_says(kind: dict[str, str]) -> None:
    assert adapted_input(kind=kind)["type"] == MODEL


def test_outputs_that_the_component_does_not_declare_are_dropped() -> None:
    assert set(translation.adapt_input(given(), SPEC, SPEC)["outputs"]["artifacts"]) == {"model"}


def test_metadata_survives_kfps_type_round_trip() -> None:
    metadata = adapted_input(
        **{"custom:span": 0.0, "blessed": 1, "splits": {"list": ["a", {"struct": {"b": 1}}]}, "none": None}
    )["metadata"]
    assert metadata == {"custom:span": 0.0, "blessed": 1, "splits": ["a", {"b": 1}]}


def test_a_dictionary_that_only_looks_wrapped_is_left_alone() -> None:
    assert adapted_input(table={"list": "of names"})["metadata"]["table"] == {"list": "of names"}


def test_two_models_of_the_same_name_keep_two_names() -> None:
    names = {adapted_input(uri=uri, name="model")["name"] for uri in ("/a/model", "/b/model")}
    assert len(names) == 2 and "model" not in names
    assert adapted_input(name="7")["name"] == "7"


def test_an_empty_optional_input_is_dropped_and_an_empty_needed_one_refused() -> None:
    adapted = translation.adapt_input(given(), SPEC, SPEC)
    without = translation.without_absent(adapted, present=set(), optional={"model"})
    assert without["inputs"]["artifacts"] == {}
    assert without["inputs"]["parameterValues"] == {"size": 3.0}
    with pytest.raises(ConfigurationError, match=r"The input model .* is empty: the step that makes it"):
        translation.without_absent(adapted, present=set(), optional=set())


@pytest.mark.parametrize("scheme", ["minio", "s3", "gs"])
def test_outputs_bear_exactly_the_uris_that_kfp_gave(scheme: str) -> None:
    uri = f"{scheme}://bucket/v2/artifacts/model"
    executor_input = given(uri=uri)
    local = translation.local_path(uri)
    written = {
        "artifacts": {
            "model": {
                "artifacts": [
                    {
                        "name": "model",
                        "uri": local + "-out",
                        "metadata": {
                            "current_model": local,
                            "inside": f"{local}-out/Format-Serving",
                            "pushed_destination": "/mnt/models/1",
                            "nothing": None,
                            "count": 3.0,
                        },
                    }
                ]
            }
        },
        "parameterValues": {"kept": "x", "dropped": None},
    }
    output = translation.adapt_output(written, executor_input)
    (artifact,) = output["artifacts"]["model"]["artifacts"]
    assert artifact["uri"] == uri + "-out"
    assert artifact["metadata"] == {
        "current_model": uri,
        "inside": f"{uri}-out/Format-Serving",
        "pushed_destination": "/mnt/models/1",
        "count": 3.0,
    }
    assert output["parameterValues"] == {"kept": "x"}
