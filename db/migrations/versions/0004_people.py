"""Identity, frozen accounts, refused self-dealing."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE users
    ADD COLUMN identity_hash text,
    ADD COLUMN verified_at timestamptz,
    ADD COLUMN frozen_at timestamptz,
    ADD COLUMN frozen_reason text,
    ADD CONSTRAINT ck_users_verified CHECK ((identity_hash IS NULL) = (verified_at IS NULL)),
    ADD CONSTRAINT ck_users_frozen CHECK ((frozen_at IS NULL) = (frozen_reason IS NULL));
CREATE INDEX ix_users_identity_hash ON users (identity_hash);

ALTER TABLE payout_destinations
    ADD COLUMN account_key text
        GENERATED ALWAYS AS (nullif(translate(upper(account), ' -', ''), '')) STORED;
CREATE INDEX ix_payout_destinations_account_key_user_id ON payout_destinations (account_key, user_id);
CREATE INDEX ix_payout_destinations_user_id_account_key ON payout_destinations (user_id, account_key);

CREATE TABLE account_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text,
    user_id text NOT NULL,
    kind text NOT NULL,
    reason text,
    by_id text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_account_events PRIMARY KEY (id),
    CONSTRAINT ck_account_events_kind CHECK (kind IN ('frozen', 'unfrozen', 'unverified',
        'verified')),
    CONSTRAINT uq_account_events_key UNIQUE (key),
    CONSTRAINT fk_account_events_user_id FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_account_events_by_id FOREIGN KEY (by_id) REFERENCES users (id)
);
CREATE INDEX ix_account_events_user_id_id ON account_events (user_id, id);

CREATE TABLE self_dealing_refusals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    request_id text,
    path_id text,
    action text NOT NULL,
    user_id text NOT NULL,
    other_id text NOT NULL,
    tie text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_self_dealing_refusals PRIMARY KEY (id),
    CONSTRAINT ck_self_dealing_refusals_tie CHECK (tie IN ('same_destination', 'same_identity',
        'same_person')),
    CONSTRAINT uq_self_dealing_refusals_request_id UNIQUE (request_id),
    CONSTRAINT fk_self_dealing_refusals_user_id FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_self_dealing_refusals_other_id FOREIGN KEY (other_id) REFERENCES users (id)
);
CREATE INDEX ix_self_dealing_refusals_path_id_id ON self_dealing_refusals (path_id, id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
