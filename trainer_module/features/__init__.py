"""Kinds of features."""

NUMERIC = "numeric"
"""Transformed feature: float32 [batch, number of numeric features], zero mean, unit variance."""
CATEGORICAL = "categorical"
"""Transformed feature: int64 [batch, number of other features], ids from 0 within each feature."""
