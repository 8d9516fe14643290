"""The profile's section `[metadata]`; standard library only."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.sections import ConfigurationError, read_section, require

_FILES = ("password_file", "ca", "certificate", "key")


@dataclass(frozen=True)
class Database:
    """A database of MySQL's kind that holds ML Metadata, for any number of workspaces and schedulers.

    The password is a file's first line, or an environment variable. With `ca` connections are encrypted, and before a run
    the server must have a certificate for `host` that this authority signed; `certificate` and `key` are ours, where it
    asks for one.
    """

    host: str
    database: str
    user: str
    port: int = 3306
    password_file: str | None = None
    password_variable: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        require(
            _address(self.host) is not None or bool(re.fullmatch(r"[0-9A-Za-z._-]+", self.host)),
            f"host is {self.host!r}; it must be a host's name or address, and the port has a key of its own.",
        )
        require(0 < self.port < 1 << 16, f"port is {self.port}; it must be from 1 to 65,535.")
        require(
            # It is part of statements, and of what MySQL takes without quotes.
            bool(re.fullmatch(r"[0-9A-Za-z_-]{1,64}", self.database)),
            f"database is {self.database!r}; it must be up to 64 letters, digits, _ and -.",
        )
        require(self.user != "", "user is empty: name the database's user.")
        require(
            (self.password_file is None) != (self.password_variable is None),
            "needs one of password_file and password_variable: the password itself belongs into neither a profile nor a "
            "command.",
        )
        for name in _FILES:
            file = getattr(self, name)
            require(
                file is None or Path(file).is_absolute(), f"{name} is {file!r}; it must be an absolute path."
            )
        require(
            (self.certificate is None) == (self.key is None),
            "has one of certificate and key: give both, or none.",
        )
        require(self.certificate is None or self.ca is not None, "has a certificate and no ca: add ca.")

    @property
    def address(self) -> str:
        """As messages show it."""
        return f"{self.host}:{self.port}"

    def warnings(self) -> list[str]:
        """What a run should say of it."""
        address = _address(self.host)
        if self.ca is not None or self.host == "localhost" or (address and address.is_loopback):
            return []
        return [
            f"records of runs cross the network to ML Metadata's database at {self.address} in plain text: set [metadata] ca"
        ]

    def password(self, environment: Mapping[str, str]) -> str:
        """The password, which no message repeats.

        Raises:
          ConfigurationError: If there is none.
        """
        if self.password_variable is not None:
            password = environment.get(self.password_variable, "")
            where = f"password_variable names {self.password_variable}, which is not set in the environment"
        else:
            where = f"password_file {self.password_file} is empty"
            try:
                first, *_ = [*Path(str(self.password_file)).read_text(encoding="utf-8").splitlines(), ""]
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                raise ConfigurationError(
                    f"[metadata] password_file {self.password_file} cannot be read ({reason}): correct it."
                ) from None
            password = first
        if not password:
            raise ConfigurationError(f"[metadata] {where}: put the password of the user {self.user} there.")
        return password


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is; None of a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def read_database(table: Mapping[str, Any], where: str) -> Database | None:
    """The section, or None where no profile has it."""
    return read_section(Database, table, where) if table else None
