"""Which evaluation metrics each task reports, by the names that gates and summaries use."""

METRIC_CLASSES: dict[str, dict[str, str]] = {
    "binary": {
        "auc": "AUC",
        "auc_precision_recall": "AUCPrecisionRecall",
        "binary_accuracy": "BinaryAccuracy",
        "binary_crossentropy": "BinaryCrossEntropy",
        "precision": "Precision",
        "recall": "Recall",
        "calibration": "Calibration",
    },
    "multiclass": {
        "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
        "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    },
    "regression": {
        "mean_absolute_error": "MeanAbsoluteError",
        "mean_squared_error": "MeanSquaredError",
    },
}
"""Task → metric name → TFMA (or Keras) metric class."""
