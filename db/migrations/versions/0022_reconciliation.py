"""Statements of payment companies, and what differs from our books."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE statement_lines (
    provider text NOT NULL,
    line_id text NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    reference text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    booked_at timestamptz NOT NULL,
    CONSTRAINT pk_statement_lines PRIMARY KEY (provider, line_id),
    CONSTRAINT ck_statement_lines_currency_code CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE INDEX ix_statement_lines_provider_day ON statement_lines (provider, day);
CREATE INDEX ix_statement_lines_provider_subject ON statement_lines (provider, subject);

CREATE TABLE statement_days (
    provider text NOT NULL,
    day date NOT NULL,
    lines bigint NOT NULL,
    opening jsonb NOT NULL,
    closing jsonb NOT NULL,
    read_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_statement_days PRIMARY KEY (provider, day)
);

CREATE TABLE differences (
    id text NOT NULL,
    provider text NOT NULL,
    subject text NOT NULL,
    part text NOT NULL,
    kind text NOT NULL,
    ours jsonb NOT NULL,
    theirs jsonb NOT NULL,
    found_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    outcome text,
    by_id text,
    reason text,
    CONSTRAINT pk_differences PRIMARY KEY (id),
    CONSTRAINT ck_differences_kind CHECK (kind IN ('amount', 'balance', 'currency', 'doubled_here',
        'doubled_there', 'fee', 'missing_here', 'missing_there', 'sign', 'unknown_subject', 'wrong_kind',
        'wrong_subject')),
    CONSTRAINT ck_differences_part CHECK (part IN ('balance', 'dispute', 'dispute_fee', 'fee', 'other',
        'payment', 'payout', 'payout_fee', 'refund')),
    CONSTRAINT ck_differences_ended CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT fk_differences_by_id FOREIGN KEY (by_id) REFERENCES users (id)
);
CREATE UNIQUE INDEX uq_differences_open ON differences (provider, subject, part) WHERE ended_at IS NULL;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
