"""What several payments and several kinds of paths need."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE payments ADD COLUMN purpose text DEFAULT 'price' NOT NULL;
ALTER TABLE paths ADD COLUMN paused_at timestamptz;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
