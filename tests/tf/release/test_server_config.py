"""TensorFlow Serving's own parser of `models.config` reads ours."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.pusher.versions import Version
from pipeline.models import serving_config

DEPLOY = Path(__file__).parents[3] / "deploy" / "serving"


@pytest.mark.parametrize("path", ["base/models.config", "overlays/canary/models.config"])
def test_the_committed_configurations_are_read(path: str) -> None:
    read = text_format.Parse((DEPLOY / path).read_text(), model_server_config_pb2.ModelServerConfig())
    (model,) = read.model_config_list.config
    assert (model.name, model.base_path) == ("taxi", "/models/taxi")


def test_the_canary_that_the_command_prints_is_labelled() -> None:
    versions = [Version(number, Path(str(number)), number == 30, {}) for number in (30, 20, 10)]
    text = serving_config("taxi", versions, 30, None, "/models")
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert list(model.model_version_policy.specific.versions) == [20, 30]
    assert dict(model.version_labels) == {"stable": 20, "canary": 30}
