"""Notification channels, one file each; its class `Channel` has the keys of [notify] that it reads."""

from foundation import project

__path__ = project.extended(__path__, __name__)
