"""TFX's StatisticsGen, to which rows come in large batches."""
