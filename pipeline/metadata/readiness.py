"""What a database must have before a run begins; each thing that is missing is one sentence, within ten seconds.

ML Metadata's own client says nothing of why a connection failed, and would wait for ever.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.engines.unavailable import EngineUnavailable
from pipeline.metadata.database import Database

_SECONDS = 4
"""For each answer; two in a row can be slow: the greeting of a new connection, and another run's end of making tables."""

_TABLE = "MLMDEnv"
"""ML Metadata's own: a row with the version of the schema."""

_USES = (
    f"SELECT * FROM {_TABLE}",
    f"INSERT INTO {_TABLE} SELECT * FROM {_TABLE}",
    f"UPDATE {_TABLE} SET schema_version = schema_version",
    f"DELETE FROM {_TABLE}",
)
_MAKES = (f"CREATE TABLE {_TABLE} (schema_version INT)",)
"""What the server only prepares, and for which MariaDB asks for the privileges all the same."""

# Error numbers of servers and of clients: https://mariadb.com/kb/en/mariadb-error-code-reference/
_DENIED_DATABASE, _DENIED_LOGIN, _NO_DATABASE = 1044, 1045, 1049
_DENIED_COMMAND = 1142
_HOST_BLOCKED, _HOST_DENIED = 1129, 1130


def check_database(database: Database | None, *, create: bool = False) -> None:
    """Asks the database of a profile; nothing where ML Metadata is a file of the workspace.

    With `create` an empty database gets ML Metadata's tables; otherwise nothing is written.

    Raises:
      EngineUnavailable: If it does not answer.
      ConfigurationError: If it refuses us, or holds what this ML Metadata cannot use.
    """
    if database is None:
        return
    password = database.password(os.environ)
    with _speaking(database), contextlib.closing(_connect(database, password)) as connection:
        cursor = connection.cursor()
        _lock(cursor, database)
        has_schema = bool(cursor.execute("SHOW TABLES LIKE %s", [_TABLE]))
        for statement in _USES if has_schema else _MAKES:
            cursor.execute("PREPARE asked FROM %s", [statement])
        if has_schema or create:
            # Here and not above: most runs have no database.
            from pipeline.metadata.connection import open_database

            # By the client of the run itself, which compares versions, and makes the tables.
            open_database(database, password)


def _lock(cursor: Any, database: Database) -> None:
    """Waits for others that ask or make the tables, which ML Metadata's client cannot do twice at a time.

    The lock goes with the connection. Unlike a file's it is known wherever the database is.
    """
    cursor.execute("SELECT GET_LOCK(%s, %s)", [f"tfx.{database.database}"[:64], _SECONDS - 1])
    if cursor.fetchone() != (1,):
        raise EngineUnavailable(
            f"Another run is making ML Metadata's tables in the database {database.database} at {database.address}: try again."
        )


def _connect(database: Database, password: str) -> Any:
    import pymysql

    return pymysql.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        # As bytes: of a text PyMySQL would send Latin-1, and ML Metadata sends UTF-8.
        password=password.encode(),
        database=database.database,
        ssl=_encryption(database),
        connect_timeout=_SECONDS,
        read_timeout=_SECONDS,
        write_timeout=_SECONDS,
    )


def _encryption(database: Database) -> ssl.SSLContext | None:
    if database.ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=database.ca)
        if database.certificate is not None:
            context.load_cert_chain(database.certificate, database.key)
    except (OSError, ssl.SSLError) as error:
        missing = [
            file
            for file in (database.ca, database.certificate, database.key)
            if file and not Path(file).is_file()
        ]
        raise ConfigurationError(
            f"[metadata] {missing[0] if missing else 'ca, certificate or key'} cannot be used ({error}): correct it."
        ) from error
    return context


@contextlib.contextmanager
def _speaking(database: Database) -> Iterator[None]:
    """Turns what PyMySQL raises into a sentence."""
    import pymysql

    address, name, user = database.address, database.database, database.user
    try:
        yield
    except (pymysql.MySQLError, RuntimeError) as error:
        number, *_ = (*error.args, 0) if isinstance(error, pymysql.MySQLError) else (0,)
        reason = str(error.args[-1]) if error.args else type(error).__name__
        if isinstance(getattr(error, "original_exception", None), ssl.SSLError):
            raise ConfigurationError(
                f"The database at {address} has no certificate for that name that [metadata] ca trusts ({reason}): correct host "
                "or ca."
            ) from error
        if number == _DENIED_LOGIN:
            raise ConfigurationError(
                f"The database at {address} refuses the user {user} or his password: correct [metadata] user, or the password "
                f"in {database.password_file or database.password_variable}."
            ) from error
        if number == _NO_DATABASE:
            raise ConfigurationError(
                f"The server at {address} has no database {name}: create it (CREATE DATABASE `{name}`), or correct [metadata]."
            ) from error
        if number == _DENIED_DATABASE:
            raise ConfigurationError(
                f"The user {user} may not use the database {name} at {address}, or there is none: create it, and GRANT ALL ON "
                f"`{name}`.* to him."
            ) from error
        if number == _DENIED_COMMAND:
            raise ConfigurationError(
                f"The user {user} may not do what ML Metadata does in the database {name} at {address} "
                f"({reason.partition(' denied')[0]}): GRANT ALL ON `{name}`.* to him."
            ) from error
        if number in (_HOST_BLOCKED, _HOST_DENIED):
            raise ConfigurationError(
                f"The database at {address} takes no connection from here ({reason}): allow this host for the user {user}."
            ) from error
        raise EngineUnavailable(
            f"ML Metadata's database at {address} does not answer ({reason}): start it, or correct [metadata]."
        ) from error
