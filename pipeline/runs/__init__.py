"""What past runs left, read, shown and compared; `python -m pipeline.runs`."""
