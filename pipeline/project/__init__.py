"""A project of one's own that depends on this package: laid out by ``python -m pipeline.project NAME``."""
