"""What goes wrong after money has moved: money nobody can explain or asks for, each line of a sale, cases for operators."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_kind,
    DROP CONSTRAINT ck_ledger_accounts_not_overdrawn;
ALTER TABLE ledger_accounts
    ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('cash', 'claim', 'clearing', 'deposit',
        'dispute', 'escrow', 'fee', 'held', 'loss', 'match', 'payable', 'protection_fund',
        'psp_fee', 'receivable', 'refund_due', 'royalty', 'suspense', 'transit', 'unclaimed')),
    ADD CONSTRAINT ck_ledger_accounts_not_overdrawn CHECK (kind IN ('cash', 'dispute', 'fee',
        'loss', 'psp_fee', 'royalty', 'suspense') OR CASE WHEN kind IN ('cash', 'clearing', 'loss',
        'psp_fee', 'receivable') THEN debits_posted - credits_posted - credits_pending >= 0 ELSE
        credits_posted - debits_posted - debits_pending >= 0 END);

ALTER TABLE sales ADD COLUMN money jsonb, ADD COLUMN delivered_at timestamptz,
    ADD COLUMN completed_at timestamptz;
ALTER TABLE refunds ADD COLUMN cause text DEFAULT 'path' NOT NULL, ADD COLUMN cause_id text,
    ADD CONSTRAINT ck_refunds_cause CHECK (cause IN ('command', 'dispute', 'goodwill', 'path',
        'return'));
CREATE INDEX ix_refunds_cause_id ON refunds (cause_id) WHERE cause_id IS NOT NULL;

CREATE TABLE cases (
    id text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    path_id text,
    user_id text,
    summary text NOT NULL,
    facts jsonb DEFAULT '{}' NOT NULL,
    state text NOT NULL,
    due_at timestamptz NOT NULL,
    amount bigint,
    currency text,
    opened_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    outcome text,
    CONSTRAINT pk_cases PRIMARY KEY (id),
    CONSTRAINT ck_cases_kind CHECK (kind IN ('account_review', 'chargeback', 'closing', 'difference',
        'dispute_appeal', 'dispute_ruling', 'hold', 'other', 'payee', 'payout_mismatch',
        'payout_review', 'return', 'stuck')),
    CONSTRAINT ck_cases_state CHECK (state IN ('assigned', 'closed', 'decided', 'executed', 'open')),
    CONSTRAINT ck_cases_ended CHECK ((state = 'closed') = (ended_at IS NOT NULL)),
    CONSTRAINT ck_cases_money CHECK ((amount IS NULL) = (currency IS NULL)),
    CONSTRAINT ck_cases_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_cases_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_cases_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX ix_cases_path_id ON cases (path_id);
CREATE INDEX ix_cases_state_due_at ON cases (state, due_at);
CREATE UNIQUE INDEX uq_cases_open ON cases (kind, subject) WHERE ended_at IS NULL;

CREATE TABLE case_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    case_id text NOT NULL,
    kind text NOT NULL,
    by_id text,
    words text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_case_events PRIMARY KEY (id),
    CONSTRAINT fk_case_events_case_id FOREIGN KEY (case_id) REFERENCES cases (id),
    CONSTRAINT fk_case_events_by_id FOREIGN KEY (by_id) REFERENCES users (id)
);
CREATE INDEX ix_case_events_case_id_id ON case_events (case_id, id);

CREATE FUNCTION case_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END $$;
CREATE TRIGGER case_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON case_events
    FOR EACH STATEMENT EXECUTE FUNCTION case_refuse_change(
        'what was done about a case stays; a correction is a new event');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
