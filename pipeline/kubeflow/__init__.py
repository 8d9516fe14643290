"""The graph on open-source Kubeflow Pipelines 2.x: compile, lint, run a step, submit."""
