"""Payouts as payees wish them, and their further states."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE payouts ADD COLUMN held_reason text, ADD COLUMN decided_by text,
    ADD COLUMN decided_at timestamptz,
    ADD CONSTRAINT fk_payouts_decided_by FOREIGN KEY (decided_by) REFERENCES users (id);

CREATE TABLE payout_wishes (
    user_id text NOT NULL,
    currency text NOT NULL,
    every text NOT NULL,
    weekday integer,
    minimum bigint,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_payout_wishes PRIMARY KEY (user_id, currency),
    CONSTRAINT ck_payout_wishes_every CHECK (every IN ('day', 'request', 'week')),
    CONSTRAINT ck_payout_wishes_weekday CHECK ((every = 'week') = (weekday IS NOT NULL)),
    CONSTRAINT ck_payout_wishes_weekday_number CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT ck_payout_wishes_minimum CHECK (minimum > 0),
    CONSTRAINT ck_payout_wishes_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_payout_wishes_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
