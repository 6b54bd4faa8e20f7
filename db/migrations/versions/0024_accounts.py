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
CREATE TABLE payees (
    id text NOT NULL,
    user_id text NOT NULL,
    provider text NOT NULL,
    reference text,
    status text NOT NULL,
    requirements text[] DEFAULT '{}' NOT NULL,
    url text,
    created_at timestamptz DEFAULT now() NOT NULL,
    checked_at timestamptz,
    CONSTRAINT pk_payees PRIMARY KEY (id),
    CONSTRAINT ck_payees_status CHECK (status IN ('active', 'pending', 'rejected', 'restricted')),
    CONSTRAINT fk_payees_user_id FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT uq_payees_user_id_provider UNIQUE (user_id, provider)
);
"""


def upgrade() -> None:
    for statements in (LIMITS, PAYOUTS):
        op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
