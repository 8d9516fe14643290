"""The learner: preprocessing, model, input pipeline, training and export.

Knows TensorFlow and TensorFlow Transform, never TFX, so that it also runs alone:
``python -m trainer_module --help``.
"""

import os

# TensorFlow Transform and Model Analysis require Keras 2 semantics, and multi-worker `fit` fails on
# Keras 3 (keras-team/keras#20585). TensorFlow reads this once, at its first import, hence here.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
