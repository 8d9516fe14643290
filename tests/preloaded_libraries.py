"""What the processes of `tests/preloaded.py` have loaded before they begin: libraries, and nothing of this project."""

import os

# As `trainer_module` sets it for every command.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import prometheus_client  # noqa: F401
import pyarrow.csv
import pyarrow.parquet  # noqa: F401
import tensorflow_data_validation  # noqa: F401
import tensorflow_model_analysis  # noqa: F401
import tensorflow_transform.beam  # noqa: F401
import tfx.components  # noqa: F401
from tfx.orchestration.local import local_dag_runner  # noqa: F401
