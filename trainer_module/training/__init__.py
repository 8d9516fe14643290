"""The training itself: its plan, its loop, and how it goes on after an interruption."""
