"""What goes wrong after money has moved: money nobody can explain or asks for."""

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
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
