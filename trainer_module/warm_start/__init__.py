"""A training that starts from the live model's variables."""
