"""Connections to ML Metadata, as its library takes them, and what it says of one that broke."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from foundation.sections import ConfigurationError
from pipeline.engines.unavailable import EngineUnavailable
from pipeline.metadata.database import Database


def connection_config(database: Database, password: str = "") -> metadata_store_pb2.ConnectionConfig:
    """How ML Metadata reaches the database; without the password it may be logged."""
    encrypted = {
        name: value
        for name, value in (("ca", database.ca), ("cert", database.certificate), ("key", database.key))
        if value
    }
    return metadata_store_pb2.ConnectionConfig(
        mysql=metadata_store_pb2.MySQLDatabaseConfig(
            host=database.host,
            port=database.port,
            database=database.database,
            user=database.user,
            password=password,
            # Without verify_server_cert, with which this client refuses every certificate; without it, it takes every one:
            # whose it is, is asked before a run (`pipeline.metadata.readiness`).
            ssl_options=encrypted or None,
            # An operator makes it: its name, and who may use it, are his choice.
            skip_db_creation=True,
        )
    )


def open_database(database: Database, password: str) -> mlmd.MetadataStore:
    """The store, whose tables are made where the database is empty.

    Raises:
      EngineUnavailable: If it does not answer.
      ConfigurationError: If it holds a schema of another version, or the user may not write to it.
    """
    with speaking(database):
        return mlmd.MetadataStore(connection_config(database, password))


@contextlib.contextmanager
def speaking(database: Database | None) -> Iterator[None]:
    """Turns errors of ML Metadata's client, however deep, into one sentence on the database; others pass.

    Raises:
      EngineUnavailable: If the connection broke.
      ConfigurationError: If the client cannot use what is there.
    """
    try:
        yield
    except Exception as error:
        said = _client_message(error)
        if database is None or said is None:
            raise
        where = f"the database {database.database} at {database.address}"
        if "than library version" in said:
            raise ConfigurationError(
                f"M{where[1:]} is of another ML Metadata ({said.partition('. ')[0]}): run with the environment that made it, or "
                "name an empty database."
            ) from error
        if "denied" in said:
            raise ConfigurationError(
                f"ML Metadata may not use {where} as the user {database.user} ({_reason(said)}): GRANT ALL ON "
                f"`{database.database}`.* to him."
            ) from error
        raise EngineUnavailable(
            f"ML Metadata's connection to {where} broke ({_reason(said)}): see that it runs, that the user {database.user} has "
            f"mysql_native_password, and [metadata] ca if it asks for TLS; the next run starts where this one stopped."
        ) from error


def _client_message(error: BaseException | None) -> str | None:
    """What the client said, or None where the error is none of its."""
    while error is not None:
        text = str(error)
        if "mysql_" in text or "MLMD database version" in text:
            return text
        error = error.__cause__ or error.__context__
    return None


def _reason(said: str) -> str:
    """Without the names of the client's functions, and without its text twice."""
    return said.rpartition("error: ")[2].strip() or "it gave no reason"


@contextlib.contextmanager
def keyed(database: Database | None) -> Iterator[None]:
    """While it lasts, TFX's local runner opens the database with the password.

    The graph that it is given has none, since it logs the graph's configuration, and no option keeps it from that.
    """
    if database is None:
        yield
        return
    from tfx.orchestration import metadata
    from tfx.orchestration.local import local_dag_runner

    given = connection_config(database, database.password(os.environ)).mysql

    class KeyedMetadata(metadata.Metadata):
        def __init__(self, connection: Any) -> None:
            super().__init__(metadata_store_pb2.ConnectionConfig(mysql=given))

    class Module:
        Metadata = KeyedMetadata

    theirs = local_dag_runner.metadata
    local_dag_runner.metadata = Module
    try:
        with speaking(database):
            yield
    finally:
        local_dag_runner.metadata = theirs
