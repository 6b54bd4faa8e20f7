"""Operators can void a bid."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

STATUS = """
ALTER TABLE bids DROP CONSTRAINT ck_bids_status;
ALTER TABLE bids ADD CONSTRAINT ck_bids_status CHECK (status IN ('live', 'voided', 'withdrawn'));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STATUS, execution_options={"no_parameters": True})
