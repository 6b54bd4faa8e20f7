"""The connection to PostgreSQL: one pool a process, one transaction a transition."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from domain.errors import Unavailable

_USED = "used_at"
_RESTED_SECONDS = 1.0
_CROSSED = (DeadlockDetected, SerializationFailure)


def sqlalchemy_url(url: str) -> str:
    """`postgresql://…` as SQLAlchemy's psycopg dialect wants it."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1).replace(
        "postgres://", "postgresql+psycopg://", 1
    )


class Database:
    """A pool of connections and the one way to open a transaction."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.engine = _pool(url, pool_size, overflow=pool_size)
        # Connections of their own: to turn one from one way to the other costs what a round trip does.
        half = max(pool_size // 2, 1)
        self._reading = _pool(
            url, half, overflow=half, isolation_level="AUTOCOMMIT", pool_reset_on_return=None
        )
        self._most = 2 * pool_size + 2 * half
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._readers = async_sessionmaker(self._reading, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back by any exception.

        Raises Unavailable when the database cannot be reached or goes away in between; whether the commit then
        happened is not known, so callers must be safe to repeat.
        """
        with _refused_as_unavailable():
            async with self._sessions.begin() as session:
                yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """For what only reads: each statement sees what is committed by then, as it would in a transaction of ours.

        Nothing is begun and nothing committed, so a page costs a third of the round trips. Raises Unavailable.
        """
        with _refused_as_unavailable():
            async with self._readers() as session:
                yield session

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections of this process are in use, and how many there may be; beyond that callers wait."""
        pools = (self.engine.pool, self._reading.pool)
        return sum(each.checkedout() for each in pools if isinstance(each, QueuePool)), self._most

    async def ping(self) -> None:
        """Raises Unavailable unless the database answers."""
        async with self.transaction() as session:
            await session.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()
        await self._reading.dispose()


class OpenTransaction(Database):
    """A database of which every transaction is part of one that is open already, whose owner ends it.

    With it, work that opens transactions of its own can be rehearsed, or done together with something else.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """The open transaction; what is written is flushed, nothing is committed."""
        yield self._session
        await self._session.flush()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """The open transaction, which sees what it has written itself."""
        yield self._session


@contextmanager
def _refused_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as lost:
        if isinstance(lost, OperationalError) and isinstance(lost.orig, _CROSSED):
            raise Unavailable("two transactions crossed; this one gave way") from lost
        raise Unavailable("the database cannot be reached") from lost
    except DBAPIError as broken:
        if broken.connection_invalidated:
            raise Unavailable("the database connection was lost") from broken
        raise


def _pool(url: str, size: int, *, overflow: int, **more: str | None) -> AsyncEngine:
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=size,
        max_overflow=overflow,
        # A crowd in the last second before a deadline queues here; turned away it would be late.
        pool_timeout=60,
        connect_args={"connect_timeout": 5, "application_name": "baigong"},
        **more,
    )
    _ping_the_rested(engine)
    return engine


def _ping_the_rested(engine: AsyncEngine) -> None:
    """Connections that have rested are tried before they are used: the server may have gone meanwhile.

    The pool's own `pool_pre_ping` tries all, which costs every transaction a round trip more.
    """
    pool, dialect = engine.sync_engine.pool, engine.sync_engine.dialect

    @event.listens_for(pool, "checkin")
    def note(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(pool, "checkout")
    def ping(
        connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection
    ) -> None:
        used = record.info.get(_USED)
        if used is None or time.monotonic() - used < _RESTED_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as gone:
            raise DisconnectionError("the server went away meanwhile") from gone
