"""The step DataGate: whether the data is what the schema says and what it was."""
