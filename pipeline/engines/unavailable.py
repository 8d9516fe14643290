"""The error of a service that is not there now and may be later."""

from foundation.sections import ConfigurationError


class EngineUnavailable(ConfigurationError):
    """An engine, a pool or a database does not answer, or has no room: the same run may succeed later, with nothing changed."""
