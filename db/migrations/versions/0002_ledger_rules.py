"""The rules of the ledger that hold for whoever writes SQL: append-only, balanced, balances in step."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END $$;

CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'the journal is append-only; a correction is a new entry');
CREATE TRIGGER ledger_postings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'the journal is append-only; a correction is a new entry');
"""

BALANCES = """
CREATE FUNCTION ledger_apply_posting() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry record;
    posted bigint;
    pending bigint;
BEGIN
    SELECT status, resolves_id, currency INTO STRICT entry
        FROM ledger_entries WHERE id = NEW.entry_id;
    posted := CASE WHEN entry.status = 'posted' THEN NEW.amount ELSE 0 END;
    pending := CASE WHEN entry.status = 'pending' THEN NEW.amount
                    WHEN entry.resolves_id IS NOT NULL THEN -NEW.amount
                    ELSE 0 END;
    IF NEW.side = 'debit' THEN
        UPDATE ledger_accounts
            SET debits_posted = debits_posted + posted,
                debits_pending = debits_pending + pending,
                version = version + 1
            WHERE id = NEW.account_id AND currency = entry.currency
            RETURNING balance INTO NEW.balance_after;
    ELSE
        UPDATE ledger_accounts
            SET credits_posted = credits_posted + posted,
                credits_pending = credits_pending + pending,
                version = version + 1
            WHERE id = NEW.account_id AND currency = entry.currency
            RETURNING balance INTO NEW.balance_after;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % does not exist in %, the currency of entry %',
            NEW.account_id, entry.currency, NEW.entry_id
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                  CONSTRAINT = 'ledger_postings_currency';
    END IF;
    IF entry.status <> 'posted' THEN
        NEW.balance_after := NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_postings_apply BEFORE INSERT ON ledger_postings
    FOR EACH ROW EXECUTE FUNCTION ledger_apply_posting();

-- The trigger above runs at depth 1, anybody else's statement at depth 0.
CREATE TRIGGER ledger_accounts_in_step BEFORE UPDATE ON ledger_accounts
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuse_change(
        'balances change by postings only');
CREATE TRIGGER ledger_accounts_start_empty BEFORE INSERT ON ledger_accounts
    FOR EACH ROW WHEN (NEW.debits_posted <> 0 OR NEW.credits_posted <> 0
        OR NEW.debits_pending <> 0 OR NEW.credits_pending <> 0 OR NEW.version <> 0)
    EXECUTE FUNCTION ledger_refuse_change('an account starts at 0');
CREATE TRIGGER ledger_accounts_permanent BEFORE DELETE OR TRUNCATE ON ledger_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change('accounts are never deleted');
"""

BALANCED = """
CREATE FUNCTION ledger_check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    checked_id bigint;
    expected record;
    found_debits numeric;
    found_credits numeric;
BEGIN
    IF TG_TABLE_NAME = 'ledger_entries' THEN
        checked_id := NEW.id;
    ELSE
        checked_id := NEW.entry_id;
    END IF;
    SELECT total, resolves_id INTO STRICT expected FROM ledger_entries WHERE id = checked_id;
    SELECT sum(amount) FILTER (WHERE side = 'debit'), sum(amount) FILTER (WHERE side = 'credit')
        INTO found_debits, found_credits
        FROM ledger_postings WHERE entry_id = checked_id;
    IF found_debits IS DISTINCT FROM expected.total OR found_credits IS DISTINCT FROM expected.total
    THEN
        RAISE EXCEPTION 'entry % has debits % and credits %, not % on both sides', checked_id,
            coalesce(found_debits, 0), coalesce(found_credits, 0), expected.total
            USING ERRCODE = 'check_violation', TABLE = 'ledger_entries',
                  CONSTRAINT = 'ledger_entries_balanced';
    END IF;
    IF expected.resolves_id IS NOT NULL AND NOT ledger_same_postings(checked_id, expected.resolves_id)
    THEN
        RAISE EXCEPTION 'entry % must repeat the postings of the pending entry % that it ends',
            checked_id, expected.resolves_id
            USING ERRCODE = 'check_violation', TABLE = 'ledger_entries',
                  CONSTRAINT = 'ledger_entries_resolution';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_same_postings(ending_id bigint, pending_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM ledger_entries WHERE id = pending_id AND status = 'pending')
        AND NOT EXISTS (
            (SELECT account_id, side, amount FROM ledger_postings WHERE entry_id = pending_id
             EXCEPT ALL
             SELECT account_id, side, amount FROM ledger_postings WHERE entry_id = ending_id)
            UNION ALL
            (SELECT account_id, side, amount FROM ledger_postings WHERE entry_id = ending_id
             EXCEPT ALL
             SELECT account_id, side, amount FROM ledger_postings WHERE entry_id = pending_id))
$$;

CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_entry();
CREATE CONSTRAINT TRIGGER ledger_postings_balanced AFTER INSERT ON ledger_postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_entry();
"""

LOCKING = """
CREATE FUNCTION ledger_lock_accounts(
    kinds text[], owners text[], currencies text[], path_ids text[]
) RETURNS SETOF ledger_accounts LANGUAGE plpgsql AS $$
BEGIN
    -- Missing accounts first, so that everybody who needs a new account meets at its row before holding any other.
    INSERT INTO ledger_accounts (kind, owner, currency, path_id)
        SELECT w.kind, w.owner, w.currency, min(w.path_id)
            FROM unnest(kinds, owners, currencies, path_ids) AS w (kind, owner, currency, path_id)
            WHERE NOT EXISTS (
                SELECT FROM ledger_accounts a
                WHERE a.kind = w.kind AND a.owner = w.owner AND a.currency = w.currency)
            GROUP BY w.kind, w.owner, w.currency
            ORDER BY w.kind, w.owner, w.currency
        ON CONFLICT (kind, owner, currency) DO NOTHING;
    -- One after the other in one order for everybody: no two transactions can wait for each other.
    RETURN QUERY
        SELECT locked.*
            FROM (
                SELECT DISTINCT w.kind, w.owner, w.currency
                    FROM unnest(kinds, owners, currencies) AS w (kind, owner, currency)
                    ORDER BY w.kind, w.owner, w.currency
            ) AS wanted
            CROSS JOIN LATERAL (
                SELECT a.* FROM ledger_accounts a
                WHERE a.kind = wanted.kind AND a.owner = wanted.owner
                    AND a.currency = wanted.currency
                FOR NO KEY UPDATE
            ) AS locked;
END $$;
"""


def upgrade() -> None:
    connection = op.get_bind()
    for part in (APPEND_ONLY, BALANCES, BALANCED, LOCKING):
        connection.exec_driver_sql(part, execution_options={"no_parameters": True})
