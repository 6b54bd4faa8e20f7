"""Payouts and refunds that have not arrived are found without reading all others."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX ix_payouts_open ON payouts (created_at)
    WHERE status IN ('held', 'requested', 'submitted', 'awaiting_payee', 'in_transit');
CREATE INDEX ix_refunds_open ON refunds (created_at) WHERE status IN ('requested', 'pending');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(INDEXES, execution_options={"no_parameters": True})
