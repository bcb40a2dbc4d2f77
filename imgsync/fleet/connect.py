"""
Open connections to the broker on which no wait is endless.

A frozen broker or a lost line closes nothing. So every wait for the broker has a time limit, and closing after an error waits for no answer.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

from amqp import exceptions
from kombu import Connection

from imgsync.fleet.broker_login import CONNECT_SECONDS, HEARTBEAT_SECONDS, BrokerLogin

# Long enough for a message of a megabyte on a slow line.
SILENT_SECONDS = 30.0
# Waiting does not help: no login, no permission, another authority, or a queue of that name with other settings.
REFUSALS = (exceptions.AccessRefused, exceptions.NotAllowed, exceptions.PreconditionFailed, ssl.SSLCertVerificationError)


def make_connection(login: BrokerLogin) -> Connection:
    """Return a connection, not open yet, with confirms."""
    return Connection(
        login.url, ssl=login.ssl_options, heartbeat=HEARTBEAT_SECONDS, connect_timeout=CONNECT_SECONDS, transport_options={"confirm_publish": True}
    )


def list_errors(connection: Connection) -> tuple[type[Exception], ...]:
    """Return the errors after which another connection may work."""
    # The broker refuses a message too while a majority of its nodes is away: MessageNacked is among the recoverable ones.
    return (*connection.connection_errors, *connection.channel_errors, *connection.recoverable_connection_errors, OSError)


def bound_waits(connection: Connection) -> None:
    """End each wait on an open *connection* after a time."""
    connection.connection.sock.settimeout(SILENT_SECONDS)


@contextlib.contextmanager
def open_connection(connection: Connection) -> Iterator[Connection]:
    """
    Yield an open copy of *connection*.

    Raises:
        Exception: One of `list_errors`: the broker cannot be reached, or did not answer in time.
    """
    opened = connection.clone()
    try:
        opened.connect()
        bound_waits(opened)
        yield opened
    except BaseException:
        opened.collect()
        raise
    opened.release()
