"""The graph's node ids in the order they run, known without importing TFX."""

NODES = (
    "ExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "DataGate",
    "Transform",
    "Trainer",
    "BaselineModel",
    "Evaluator",
    "ServingCheck",
    "Pusher",
    "AppExporter",
)
