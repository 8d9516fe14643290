"""TFX's Transform, whose rows go through TensorFlow in large batches."""
