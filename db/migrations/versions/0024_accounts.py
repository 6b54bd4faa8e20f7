"""Accounts are limited by capability, and looked at on request; payees confirm payouts."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

LIMITS = """
ALTER TABLE users
    ADD COLUMN limited text[] DEFAULT '{}' NOT NULL,
    ADD COLUMN closing_at timestamptz,
    ADD COLUMN closed_at timestamptz,
    ADD CONSTRAINT ck_users_closed CHECK (closed_at IS NULL OR closing_at IS NOT NULL),
    ADD CONSTRAINT ck_users_limited CHECK (limited <@ ARRAY['bid', 'pledge', 'sell', 'withdraw']);
CREATE INDEX ix_users_closing ON users (closing_at) WHERE closing_at IS NOT NULL;
ALTER TABLE account_events
    ALTER COLUMN by_id DROP NOT NULL,
    ADD COLUMN capability text,
    DROP CONSTRAINT ck_account_events_kind,
    ADD CONSTRAINT ck_account_events_kind CHECK (kind IN
        ('allowed', 'closed', 'closing', 'closing_cancelled', 'frozen', 'limited', 'review_asked', 'unfrozen', 'unverified', 'verified')),
    ADD CONSTRAINT ck_account_events_capability CHECK (
        (kind IN ('allowed', 'limited')) = (capability IS NOT NULL));
"""

PAYOUTS = """
ALTER TABLE payouts ADD COLUMN confirm_url text;
"""


def upgrade() -> None:
    for statements in (LIMITS, PAYOUTS):
        op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
