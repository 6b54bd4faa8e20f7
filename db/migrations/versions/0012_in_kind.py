"""Help in kind."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE in_kind_offers (
    id text NOT NULL,
    terms jsonb NOT NULL,
    offer_ends_at timestamptz,
    due_at timestamptz,
    asker_id text,
    payment_id text,
    held bigint DEFAULT 0 NOT NULL,
    hold_until timestamptz,
    claimed bigint,
    is_back boolean,
    released bigint DEFAULT 0 NOT NULL,
    picks integer DEFAULT 0 NOT NULL,
    extensions integer DEFAULT 0 NOT NULL,
    end_reason text,
    moves bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_in_kind_offers PRIMARY KEY (id),
    CONSTRAINT ck_in_kind_offers_amounts CHECK (held >= 0 AND claimed > 0 AND released >= 0),
    CONSTRAINT ck_in_kind_offers_held_of_somebody CHECK (held = 0 OR asker_id IS NOT NULL),
    CONSTRAINT fk_in_kind_offers_id FOREIGN KEY(id) REFERENCES paths (id),
    CONSTRAINT fk_in_kind_offers_asker_id FOREIGN KEY(asker_id) REFERENCES users (id),
    CONSTRAINT fk_in_kind_offers_payment_id FOREIGN KEY(payment_id) REFERENCES payments (id)
);

CREATE TABLE in_kind_asks (
    id text NOT NULL,
    in_kind_id text NOT NULL,
    asker_id text NOT NULL,
    for_path_id text,
    status text NOT NULL,
    message text NOT NULL,
    file_ids text[] NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_in_kind_asks PRIMARY KEY (id),
    CONSTRAINT ck_in_kind_asks_status CHECK (status IN ('live', 'passed', 'picked', 'withdrawn')),
    CONSTRAINT fk_in_kind_asks_in_kind_id FOREIGN KEY(in_kind_id) REFERENCES in_kind_offers (id),
    CONSTRAINT fk_in_kind_asks_asker_id FOREIGN KEY(asker_id) REFERENCES users (id),
    CONSTRAINT fk_in_kind_asks_for_path_id FOREIGN KEY(for_path_id) REFERENCES paths (id)
);

CREATE INDEX ix_in_kind_asks_asker_id_in_kind_id ON in_kind_asks (asker_id, in_kind_id);

CREATE INDEX ix_in_kind_asks_in_kind_id_id ON in_kind_asks (in_kind_id, id);

CREATE UNIQUE INDEX uq_in_kind_asks_standing ON in_kind_asks (in_kind_id, asker_id) WHERE status IN ('live', 'picked');

CREATE TABLE in_kind_records (
    in_kind_id text NOT NULL,
    number integer NOT NULL,
    pick integer NOT NULL,
    kind text NOT NULL,
    made_by text NOT NULL,
    note text NOT NULL,
    amount bigint,
    file_ids text[] NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_in_kind_records PRIMARY KEY (in_kind_id, number),
    CONSTRAINT ck_in_kind_records_amount_not_negative CHECK (amount >= 0),
    CONSTRAINT fk_in_kind_records_in_kind_id FOREIGN KEY(in_kind_id) REFERENCES in_kind_offers (id)
);
"""


def upgrade() -> None:
    if TABLES.strip():
        op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
