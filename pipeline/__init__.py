"""The TFX graph, its configuration, and what a run reports."""
