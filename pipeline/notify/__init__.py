"""Who is notified of a run: one file a channel, and what channels share."""
