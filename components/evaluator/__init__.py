"""The step Evaluator."""
