"""Notification channels, one file each; its class `Channel` has the keys of [notify] that it reads."""
