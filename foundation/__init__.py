"""What every layer stands on: sections of configuration and their errors, files replaced at once, locks, processes."""
