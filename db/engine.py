"""The connection to PostgreSQL: one pool a process, one transaction a transition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from domain.errors import Unavailable

_CROSSED = (DeadlockDetected, SerializationFailure)


def sqlalchemy_url(url: str) -> str:
    """`postgresql://…` as SQLAlchemy's psycopg dialect wants it."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1).replace(
        "postgres://", "postgresql+psycopg://", 1
    )


class Database:
    """A pool of connections and the one way to open a transaction."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            # A crowd in the last second before a deadline queues here; turned away it would be late.
            pool_timeout=30,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "application_name": "baigong"},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back by any exception.

        Raises Unavailable when the database cannot be reached or goes away in between; whether the commit then
        happened is not known, so callers must be safe to repeat.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except (OperationalError, InterfaceError, PoolTimeout) as lost:
            if isinstance(lost, OperationalError) and isinstance(lost.orig, _CROSSED):
                raise Unavailable("two transactions crossed; this one gave way") from lost
            raise Unavailable("the database cannot be reached") from lost
        except DBAPIError as broken:
            if broken.connection_invalidated:
                raise Unavailable("the database connection was lost") from broken
            raise

    async def ping(self) -> None:
        """Raises Unavailable unless the database answers."""
        async with self.transaction() as session:
            await session.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()
