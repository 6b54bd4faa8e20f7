"""Evidence in disputes and chargebacks; payers who are locked while their bank has taken money back."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE chargebacks DROP CONSTRAINT ck_chargebacks_status;
ALTER TABLE chargebacks DROP CONSTRAINT ck_chargebacks_ended;
ALTER TABLE chargebacks ADD COLUMN payer_id text;
ALTER TABLE chargebacks ADD COLUMN accepted_at timestamptz;
ALTER TABLE chargebacks ADD COLUMN accepted_by text;
ALTER TABLE chargebacks ADD COLUMN accepted_reason text;
ALTER TABLE chargebacks ADD COLUMN cleared_at timestamptz;
ALTER TABLE chargebacks ADD COLUMN cleared_by text;
ALTER TABLE chargebacks ADD COLUMN cleared_reason text;
ALTER TABLE chargebacks ADD COLUMN rounds bigint DEFAULT 0 NOT NULL;
ALTER TABLE chargebacks ADD COLUMN returned_at timestamptz;
UPDATE chargebacks c SET payer_id = p.payer_id FROM payments p WHERE p.id = c.payment_id;
ALTER TABLE chargebacks ALTER COLUMN payer_id SET NOT NULL;
ALTER TABLE chargebacks ADD CONSTRAINT ck_chargebacks_status
    CHECK (status IN ('lost', 'open', 'under_review', 'won'));
ALTER TABLE chargebacks ADD CONSTRAINT ck_chargebacks_ended
    CHECK ((status IN ('open', 'under_review')) = (ended_at IS NULL));
ALTER TABLE chargebacks ADD CONSTRAINT ck_chargebacks_accepted
    CHECK ((accepted_at IS NULL) = (accepted_by IS NULL) AND (accepted_at IS NULL) = (accepted_reason IS NULL));
ALTER TABLE chargebacks ADD CONSTRAINT ck_chargebacks_cleared
    CHECK ((cleared_at IS NULL) = (cleared_by IS NULL) AND (cleared_at IS NULL) = (cleared_reason IS NULL));
ALTER TABLE chargebacks ADD CONSTRAINT fk_chargebacks_payer_id FOREIGN KEY (payer_id) REFERENCES users (id);
ALTER TABLE chargebacks ADD CONSTRAINT fk_chargebacks_accepted_by FOREIGN KEY (accepted_by) REFERENCES users (id);
ALTER TABLE chargebacks ADD CONSTRAINT fk_chargebacks_cleared_by FOREIGN KEY (cleared_by) REFERENCES users (id);
CREATE INDEX ix_chargebacks_locks ON chargebacks (payer_id) WHERE status <> 'won' AND cleared_at IS NULL;

CREATE TABLE evidence_notes (
    id text NOT NULL,
    of_kind text NOT NULL,
    of_id text NOT NULL,
    path_id text NOT NULL,
    author_id text NOT NULL,
    role text NOT NULL,
    words text NOT NULL,
    file_ids text[] DEFAULT '{}' NOT NULL,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_evidence_notes PRIMARY KEY (id),
    CONSTRAINT ck_evidence_notes_of_kind CHECK (of_kind IN ('chargeback', 'dispute')),
    CONSTRAINT ck_evidence_notes_words CHECK (length(words) BETWEEN 1 AND 4000),
    CONSTRAINT fk_evidence_notes_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_evidence_notes_author_id FOREIGN KEY (author_id) REFERENCES users (id)
);
CREATE INDEX ix_evidence_notes_of_id_id ON evidence_notes (of_id, id);

CREATE TABLE evidence_packs (
    id text NOT NULL,
    of_kind text NOT NULL,
    of_id text NOT NULL,
    path_id text NOT NULL,
    sha256 text NOT NULL,
    content jsonb NOT NULL,
    built_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    built_by text,
    submitted_at timestamptz,
    refused text,
    CONSTRAINT pk_evidence_packs PRIMARY KEY (id),
    CONSTRAINT ck_evidence_packs_of_kind CHECK (of_kind IN ('chargeback', 'dispute')),
    CONSTRAINT ck_evidence_packs_one_answer CHECK (submitted_at IS NULL OR refused IS NULL),
    CONSTRAINT fk_evidence_packs_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_evidence_packs_built_by FOREIGN KEY (built_by) REFERENCES users (id),
    CONSTRAINT uq_evidence_packs_of_kind_of_id_sha256 UNIQUE (of_kind, of_id, sha256)
);
CREATE INDEX ix_evidence_packs_path_id ON evidence_packs (path_id);
CREATE INDEX ix_evidence_packs_of_id ON evidence_packs (of_id);

CREATE TRIGGER evidence_notes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence_notes
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'what was handed in stays; more is a new note');
CREATE TRIGGER evidence_packs_stay BEFORE UPDATE ON evidence_packs
    FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256 OR OLD.content <> NEW.content)
    EXECUTE FUNCTION ledger_refuse_change('a pack of evidence stays as it was put together');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
