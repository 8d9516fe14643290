"""Addresses of services as host:port."""

from foundation.sections import ConfigurationError


def split_address(text: str, what: str) -> tuple[str, int]:
    """Host and port.

    Args:
      text: As host:port, with or without http:// before it.
      what: Names it in the error.

    Raises:
      ConfigurationError: If it is written in another way.
    """
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or "/" in host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigurationError(f"[beam] {what} is {text[:200]!r}: write it as host:port.")
    return host.strip("[]"), int(port)
