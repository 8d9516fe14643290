"""From a behaviour log to its users' sequences of events."""
