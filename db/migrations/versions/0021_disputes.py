"""Disputes and what both sides have shown."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE disputes (
    id text NOT NULL,
    about_id text NOT NULL,
    subject text NOT NULL,
    claimant_id text NOT NULL,
    respondent_id text NOT NULL,
    terms jsonb NOT NULL,
    course jsonb NOT NULL,
    locked jsonb NOT NULL,
    ended_at timestamptz,
    end_reason text,
    moves integer DEFAULT 0 NOT NULL,
    CONSTRAINT pk_disputes PRIMARY KEY (id),
    CONSTRAINT fk_disputes_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_disputes_about_id FOREIGN KEY (about_id) REFERENCES paths (id),
    CONSTRAINT fk_disputes_claimant_id FOREIGN KEY (claimant_id) REFERENCES users (id),
    CONSTRAINT fk_disputes_respondent_id FOREIGN KEY (respondent_id) REFERENCES users (id)
);
CREATE UNIQUE INDEX uq_disputes_open ON disputes (about_id, subject) WHERE ended_at IS NULL;
CREATE INDEX ix_disputes_about_id_id ON disputes (about_id, id);
CREATE INDEX ix_disputes_claimant_id_id ON disputes (claimant_id, id);
CREATE INDEX ix_disputes_respondent_id_id ON disputes (respondent_id, id);

CREATE TABLE dispute_evidence (
    id text NOT NULL,
    dispute_id text NOT NULL,
    author_id text NOT NULL,
    words text NOT NULL,
    file_ids text[] DEFAULT '{}' NOT NULL,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_dispute_evidence PRIMARY KEY (id),
    CONSTRAINT fk_dispute_evidence_dispute_id FOREIGN KEY (dispute_id) REFERENCES disputes (id),
    CONSTRAINT fk_dispute_evidence_author_id FOREIGN KEY (author_id) REFERENCES users (id)
);
CREATE INDEX ix_dispute_evidence_dispute_id_id ON dispute_evidence (dispute_id, id);
CREATE TRIGGER dispute_evidence_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dispute_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'what was shown stays; a correction is shown besides');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
