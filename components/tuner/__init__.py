"""The step Tuner: better settings for the Trainer, where the configuration asks for them."""
