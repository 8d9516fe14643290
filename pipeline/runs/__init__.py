"""A run that is past: what it left, and what can be read of it."""
