"""The ledger writes in one call what needed several, and plans its statements once per connection.

Nothing that 0002 refuses is allowed now: the triggers say the same in fewer statements.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# One statement instead of two: what the entry says is read while the account is changed.
BALANCES = """
CREATE OR REPLACE FUNCTION ledger_apply_posting() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry_currency text;
BEGIN
    UPDATE ledger_accounts a
        SET debits_posted = debits_posted + CASE
                WHEN NEW.side = 'debit' AND e.status = 'posted' THEN NEW.amount ELSE 0 END,
            credits_posted = credits_posted + CASE
                WHEN NEW.side <> 'debit' AND e.status = 'posted' THEN NEW.amount ELSE 0 END,
            debits_pending = debits_pending + CASE WHEN NEW.side <> 'debit' THEN 0
                WHEN e.status = 'pending' THEN NEW.amount
                WHEN e.resolves_id IS NOT NULL THEN -NEW.amount ELSE 0 END,
            credits_pending = credits_pending + CASE WHEN NEW.side = 'debit' THEN 0
                WHEN e.status = 'pending' THEN NEW.amount
                WHEN e.resolves_id IS NOT NULL THEN -NEW.amount ELSE 0 END,
            version = version + 1
        FROM ledger_entries e
        WHERE e.id = NEW.entry_id AND a.id = NEW.account_id AND a.currency = e.currency
        RETURNING CASE WHEN e.status = 'posted' THEN a.balance END INTO NEW.balance_after;
    IF NOT FOUND THEN
        SELECT currency INTO STRICT entry_currency FROM ledger_entries WHERE id = NEW.entry_id;
        RAISE EXCEPTION 'account % does not exist in %, the currency of entry %',
            NEW.account_id, entry_currency, NEW.entry_id
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                  CONSTRAINT = 'ledger_postings_currency';
    END IF;
    RETURN NEW;
END $$;
"""

BALANCED = """
CREATE OR REPLACE FUNCTION ledger_check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    checked_id bigint;
    expected_total bigint;
    pending_id bigint;
    found_debits numeric;
    found_credits numeric;
BEGIN
    IF TG_TABLE_NAME = 'ledger_entries' THEN
        checked_id := NEW.id;
    ELSE
        checked_id := NEW.entry_id;
    END IF;
    SELECT e.total, e.resolves_id, found.debits, found.credits
        INTO STRICT expected_total, pending_id, found_debits, found_credits
        FROM ledger_entries e CROSS JOIN LATERAL (
            SELECT sum(amount) FILTER (WHERE side = 'debit') AS debits,
                sum(amount) FILTER (WHERE side = 'credit') AS credits
            FROM ledger_postings p WHERE p.entry_id = e.id
        ) AS found
        WHERE e.id = checked_id;
    IF found_debits IS DISTINCT FROM expected_total OR found_credits IS DISTINCT FROM expected_total
    THEN
        RAISE EXCEPTION 'entry % has debits % and credits %, not % on both sides', checked_id,
            coalesce(found_debits, 0), coalesce(found_credits, 0), expected_total
            USING ERRCODE = 'check_violation', TABLE = 'ledger_entries',
                  CONSTRAINT = 'ledger_entries_balanced';
    END IF;
    IF pending_id IS NOT NULL AND NOT ledger_same_postings(checked_id, pending_id) THEN
        RAISE EXCEPTION 'entry % must repeat the postings of the pending entry % that it ends',
            checked_id, pending_id
            USING ERRCODE = 'check_violation', TABLE = 'ledger_entries',
                  CONSTRAINT = 'ledger_entries_resolution';
    END IF;
    RETURN NULL;
END $$;
"""

# Arrays of unknown length make PostgreSQL plan anew at each call, which takes longer than the call; and the plan that it
# keeps must be the one by index, however small the tables were when it was made.
PLANNED_ONCE = """
ALTER FUNCTION {function} SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION {function} SET enable_seqscan = off;
ALTER FUNCTION {function} SET enable_hashjoin = off;
ALTER FUNCTION {function} SET enable_mergejoin = off;
"""

POSTING = """
CREATE FUNCTION ledger_post(
    kinds text[], owners text[], currencies text[], path_ids text[], debit_normal boolean[],
    taken bigint[], added bigint[],
    keys text[], hashes text[], entry_kinds text[], statuses text[], entry_currencies text[],
    totals bigint[], entry_paths text[], notes text[],
    posting_keys text[], posting_accounts int[], sides text[], amounts bigint[]
) RETURNS TABLE (id bigint, key text, at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    locked bigint[];
    fits boolean;
BEGIN
    -- In the order of ledger_lock_accounts: missing accounts first, then one lock after the other.
    INSERT INTO ledger_accounts (kind, owner, currency, path_id)
        SELECT w.kind, w.owner, w.currency, w.path_id
            FROM unnest(kinds, owners, currencies, path_ids) AS w (kind, owner, currency, path_id)
            WHERE NOT EXISTS (
                SELECT FROM ledger_accounts a
                WHERE a.kind = w.kind AND a.owner = w.owner AND a.currency = w.currency)
            ORDER BY w.kind, w.owner, w.currency
        ON CONFLICT (kind, owner, currency) DO NOTHING;
    -- Whatever the order of the postings, no balance may pass its bounds: taken as if nothing came in before.
    SELECT array_agg(held.id ORDER BY held.position), bool_and(
            held.turnover <= 9223372036854775807 - held.added
            AND (held.taken IS NULL OR held.available >= held.taken))
        INTO locked, fits
        FROM (
            SELECT w.position, w.taken, w.added, a.id,
                greatest(a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending)
                    AS turnover,
                CASE WHEN w.debit_normal
                    THEN a.debits_posted - a.credits_posted - a.credits_pending
                    ELSE a.credits_posted - a.debits_posted - a.debits_pending END AS available
            FROM (
                SELECT * FROM unnest(kinds, owners, currencies, debit_normal, taken, added)
                    WITH ORDINALITY AS given
                        (kind, owner, currency, debit_normal, taken, added, position)
                    ORDER BY kind, owner, currency
            ) AS w
            CROSS JOIN LATERAL (
                SELECT l.* FROM ledger_accounts l
                WHERE l.kind = w.kind AND l.owner = w.owner AND l.currency = w.currency
                FOR NO KEY UPDATE
            ) AS a
        ) AS held;
    IF NOT fits OR EXISTS (SELECT FROM ledger_entries e WHERE e.key = ANY(keys)) THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH entries AS (
            INSERT INTO ledger_entries
                (key, input_hash, kind, status, currency, total, path_id, note)
            SELECT key, input_hash, kind, status, currency, total, path_id, note
            FROM unnest(keys, hashes, entry_kinds, statuses, entry_currencies, totals, entry_paths,
                    notes)
                WITH ORDINALITY AS given
                    (key, input_hash, kind, status, currency, total, path_id, note, position)
            ORDER BY position
            RETURNING id, key, at
        ), postings AS (
            INSERT INTO ledger_postings (entry_id, account_id, side, amount)
            SELECT entries.id, locked[account], side, amount
            FROM unnest(posting_keys, posting_accounts, sides, amounts)
                WITH ORDINALITY AS given (key, account, side, amount, position)
            JOIN entries USING (key)
            ORDER BY position
        )
        SELECT id, key, at FROM entries;
END $$;
"""


def upgrade() -> None:
    connection = op.get_bind()
    lock = PLANNED_ONCE.format(function="ledger_lock_accounts(text[], text[], text[], text[])")
    post = PLANNED_ONCE.format(function="ledger_post")
    for part in (BALANCES, BALANCED, POSTING, lock, post):
        connection.exec_driver_sql(part, execution_options={"no_parameters": True})
