"""The migrated database is the one that db.tables describes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from db.engine import sqlalchemy_url
from db.migrate import migrate
from db.tables import Base
from domain.errors import Unavailable
from tests.servers import Databases, free_port

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def migrated(postgres_server: Databases) -> Iterator[Connection]:
    """A connection to a migrated database."""
    with postgres_server.fresh() as url:
        engine = create_engine(sqlalchemy_url(url))
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def test_alembic_finds_no_difference(migrated: Connection) -> None:
    context = MigrationContext.configure(
        migrated, opts={"compare_type": True, "compare_server_default": True}
    )
    assert compare_metadata(context, Base.metadata) == []


CATALOGUES = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r'
            AND c.relname <> 'alembic_version'
    """,
    "constraints": """
        SELECT c.relname, k.conname, replace(pg_get_constraintdef(k.oid), '{schema}.', '')
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE c.relnamespace = '{schema}'::regnamespace AND c.relname <> 'alembic_version'
            AND k.contype <> 't'
    """,
    "indexes": """
        SELECT tablename, indexname, replace(indexdef, '{schema}.', '')
        FROM pg_indexes WHERE schemaname = '{schema}' AND tablename <> 'alembic_version'
    """,
}


@pytest.mark.parametrize("catalogue", sorted(CATALOGUES))
def test_the_catalogues_are_the_same(migrated: Connection, catalogue: str) -> None:
    """Also what alembic does not compare: CHECKs, generated columns, identities, partial indexes."""
    migrated.execute(text("CREATE SCHEMA described"))
    try:
        migrated.execute(text("SET LOCAL search_path TO described"))
        Base.metadata.create_all(migrated, checkfirst=False)
        migrated.execute(text("SET LOCAL search_path TO pg_catalog"))
        described, frozen = (
            {
                tuple(row)
                for row in migrated.exec_driver_sql(CATALOGUES[catalogue].format(schema=schema))
            }
            for schema in ("described", "public")
        )
        assert frozen == described
        assert frozen
    finally:
        migrated.rollback()


def test_several_migrations_at_once_do_the_work_once(postgres_server: Databases) -> None:
    with postgres_server.fresh() as url:
        engine = create_engine(sqlalchemy_url(url))
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: command(url), range(3)))
        with engine.connect() as connection:
            count = connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one()
        engine.dispose()
        assert count == 1
        migrate(url)


def command(url: str | None) -> None:
    """`python -m db.migrate`, which must succeed."""
    done = run_command(url)
    assert done.returncode == 0, done.stderr


def run_command(url: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "BAIGONG_DATABASE_URL"}
    if url is not None:
        environment["BAIGONG_DATABASE_URL"] = url
    return subprocess.run(
        [sys.executable, "-m", "db.migrate"],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_database_is_one_clear_line() -> None:
    nowhere = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none"
    with pytest.raises(Unavailable):
        migrate(nowhere)
    down = run_command(nowhere)
    assert (down.returncode, down.stderr.count("\n")) == (1, 1)
    assert "secret" not in down.stderr
    unset = run_command(None)
    assert (unset.returncode, unset.stderr.count("\n")) == (2, 1)
