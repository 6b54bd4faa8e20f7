"""Payments that the payer's bank takes back."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE chargebacks (
    id text NOT NULL,
    payment_id text NOT NULL,
    path_id text NOT NULL,
    provider text NOT NULL,
    reference text NOT NULL,
    amount bigint NOT NULL,
    fee bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    due_by timestamptz,
    opened_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_chargebacks PRIMARY KEY (id),
    CONSTRAINT ck_chargebacks_amounts CHECK (amount > 0 AND fee >= 0),
    CONSTRAINT ck_chargebacks_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_chargebacks_status CHECK (status IN ('lost', 'open', 'won')),
    CONSTRAINT ck_chargebacks_ended CHECK ((status = 'open') = (ended_at IS NULL)),
    CONSTRAINT uq_chargebacks_provider_reference UNIQUE (provider, reference),
    CONSTRAINT fk_chargebacks_payment_id FOREIGN KEY (payment_id) REFERENCES payments (id),
    CONSTRAINT fk_chargebacks_path_id FOREIGN KEY (path_id) REFERENCES paths (id)
);
CREATE INDEX ix_chargebacks_path_id ON chargebacks (path_id);
CREATE INDEX ix_chargebacks_payment_id ON chargebacks (payment_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
