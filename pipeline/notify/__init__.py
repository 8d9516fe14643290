"""Notifications of runs: one file per channel, and what channels share."""
