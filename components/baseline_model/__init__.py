"""The step BaselineModel: the model that is live, for the Evaluator and for a warm start."""
