"""The graph's node ids in the order they run, known without importing TFX."""

CLUSTER_NODES = ("RunReport",)
"""Nodes that the graph has on Kubeflow Pipelines alone, after all others."""

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
