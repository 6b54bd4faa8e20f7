"""Brings a database to the newest schema: `python -m db.migrate`."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from db.engine import sqlalchemy_url
from domain.errors import Unavailable
from runtime.settings import settings

_ADVISORY_LOCK = 0x6261_6967_6F6E_67
"""`baigong` in ASCII: one migration at a time per database."""


def migrate(url: str) -> None:
    """Upgrades the database at `postgresql://…` to the newest revision, in one transaction.

    Safe to call from several processes at once: they queue under an advisory lock, and the later ones find nothing
    to do. Raises Unavailable when the database cannot be reached.
    """
    engine = create_engine(sqlalchemy_url(url), connect_args={"connect_timeout": 5})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as lost:
        raise Unavailable("the database cannot be reached") from lost
    finally:
        engine.dispose()


def main() -> int:
    """Migrates the database of BAIGONG_DATABASE_URL; 0 when it is up to date."""
    url = settings().database_url
    if url is None:
        print("BAIGONG_DATABASE_URL is not set: nothing to migrate", file=sys.stderr)
        return 2
    try:
        migrate(url.get_secret_value())
    except Unavailable as unavailable:
        print(f"migration not started: {unavailable.detail}", file=sys.stderr)
        return 1
    print("database schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
