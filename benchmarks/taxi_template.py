"""TFX's own taxi template as it ships in the wheel, with the features that it leaves commented out.

Imported by path as a pipeline's user code; see `benchmarks/template_quality.py`. The template switches
its features off until a reader follows its tutorial; its list of sizes has 12 slots for the month, which
fails on month 12, so there are 13 here.
"""

from tfx.experimental.templates.taxi.models import features

features.DENSE_FLOAT_FEATURE_KEYS = ["trip_miles", "fare", "trip_seconds"]
features.BUCKET_FEATURE_KEYS = [
    "pickup_latitude",
    "pickup_longitude",
    "dropoff_latitude",
    "dropoff_longitude",
]
features.BUCKET_FEATURE_BUCKET_COUNT = [10, 10, 10, 10]
features.CATEGORICAL_FEATURE_KEYS = ["trip_start_hour", "trip_start_day", "trip_start_month"]
features.CATEGORICAL_FEATURE_MAX_VALUES = [24, 31, 13]
features.VOCAB_FEATURE_KEYS = ["payment_type", "company"]

from tfx.experimental.templates.taxi.models.keras_model.model import run_fn  # noqa: E402
from tfx.experimental.templates.taxi.models.preprocessing import preprocessing_fn  # noqa: E402

__all__ = ["preprocessing_fn", "run_fn"]
