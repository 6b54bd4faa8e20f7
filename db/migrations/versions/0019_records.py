"""Proofs of closed paths and what tax offices ask for."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE path_proofs (
    path_id text NOT NULL,
    number bigint NOT NULL,
    closed_at timestamptz NOT NULL,
    last_entry_id bigint,
    last_event_id bigint,
    postings bigint,
    events bigint,
    sha256 text,
    previous text,
    position bigint,
    made_at timestamptz,
    asked_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_path_proofs PRIMARY KEY (path_id, number),
    CONSTRAINT ck_path_proofs_number CHECK (number > 0),
    CONSTRAINT ck_path_proofs_made_whole CHECK ((sha256 IS NULL) = (position IS NULL) AND
        (sha256 IS NULL) = (made_at IS NULL) AND (sha256 IS NULL) = (previous IS NULL)),
    CONSTRAINT fk_path_proofs_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT uq_path_proofs_position UNIQUE (position)
);
CREATE UNIQUE INDEX uq_path_proofs_wanted ON path_proofs (path_id) WHERE sha256 IS NULL;

CREATE TABLE tax_profiles (
    user_id text NOT NULL,
    kind text NOT NULL,
    legal_name text NOT NULL,
    country text NOT NULL,
    tax_number_sealed bytea NOT NULL,
    tax_number_last4 text NOT NULL,
    vat_sealed bytea,
    vat_last4 text,
    birth_date date,
    address jsonb NOT NULL,
    contact text NOT NULL,
    shop_urls text[] NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_tax_profiles PRIMARY KEY (user_id),
    CONSTRAINT ck_tax_profiles_kind CHECK (kind IN ('business', 'person')),
    CONSTRAINT ck_tax_profiles_country CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT ck_tax_profiles_birth_date CHECK ((kind = 'person') = (birth_date IS NOT NULL)),
    CONSTRAINT ck_tax_profiles_vat CHECK ((vat_sealed IS NULL) = (vat_last4 IS NULL)),
    CONSTRAINT fk_tax_profiles_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE TABLE tax_quarters (
    user_id text NOT NULL,
    year bigint NOT NULL,
    quarter bigint NOT NULL,
    currency text NOT NULL,
    figures jsonb NOT NULL,
    made_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_tax_quarters PRIMARY KEY (user_id, year, quarter, currency),
    CONSTRAINT ck_tax_quarters_quarter CHECK (quarter BETWEEN 1 AND 4),
    CONSTRAINT ck_tax_quarters_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_tax_quarters_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE TRIGGER tax_quarters_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tax_quarters
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'figures of a quarter stay as they were written down');

-- For reports over a quarter; one entry a page of the table, so that writing costs next to nothing more.
CREATE INDEX ix_ledger_entries_at ON ledger_entries USING brin (at);
"""

PROOFS = """
-- No transition can forget it. A path that was opened again before its proof was made needs one proof only.
CREATE FUNCTION paths_want_proof() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO path_proofs (path_id, number, closed_at)
        SELECT NEW.id, coalesce(max(number), 0) + 1, NEW.closed_at
            FROM path_proofs WHERE path_id = NEW.id AND sha256 IS NOT NULL
        ON CONFLICT (path_id) WHERE sha256 IS NULL DO UPDATE SET closed_at = excluded.closed_at;
    RETURN NULL;
END $$;

CREATE TRIGGER paths_closed AFTER UPDATE OF closed_at ON paths
    FOR EACH ROW WHEN (OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL)
    EXECUTE FUNCTION paths_want_proof();

CREATE TRIGGER path_proofs_stay BEFORE UPDATE ON path_proofs
    FOR EACH ROW WHEN (OLD.sha256 IS NOT NULL)
    EXECUTE FUNCTION ledger_refuse_change('a published proof stays as it is');
CREATE TRIGGER path_proofs_permanent BEFORE DELETE OR TRUNCATE ON path_proofs
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change('proofs are never deleted');

INSERT INTO path_proofs (path_id, number, closed_at)
    SELECT id, 1, closed_at FROM paths WHERE closed_at IS NOT NULL;
"""


def upgrade() -> None:
    for statements in (TABLES, PROOFS):
        op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
