"""A run on this machine, from the checks before it to what is kept after it."""
