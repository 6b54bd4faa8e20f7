"""Ballots and votes."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ballots (
    id text NOT NULL,
    terms jsonb NOT NULL,
    parent_path_id text,
    vote_count bigint DEFAULT 0 NOT NULL,
    voter_count bigint DEFAULT 0 NOT NULL,
    head_hash text NOT NULL,
    extended boolean DEFAULT false NOT NULL,
    result jsonb,
    retallies bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_ballots PRIMARY KEY (id),
    CONSTRAINT fk_ballots_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_ballots_parent_path_id FOREIGN KEY (parent_path_id) REFERENCES paths (id)
);
CREATE INDEX ix_ballots_parent_path_id ON ballots (parent_path_id);

CREATE TABLE votes (
    ballot_id text NOT NULL,
    seq bigint NOT NULL,
    voter_id text NOT NULL,
    voter_tag text NOT NULL,
    nonce text NOT NULL,
    choice jsonb NOT NULL,
    at timestamptz NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL,
    CONSTRAINT pk_votes PRIMARY KEY (ballot_id, seq),
    CONSTRAINT fk_votes_ballot_id FOREIGN KEY (ballot_id) REFERENCES ballots (id),
    CONSTRAINT fk_votes_voter_id FOREIGN KEY (voter_id) REFERENCES users (id)
);
CREATE INDEX ix_votes_ballot_id_voter_id_seq ON votes (ballot_id, voter_id, seq);

CREATE TABLE vote_voids (
    id bigint GENERATED ALWAYS AS IDENTITY,
    ballot_id text NOT NULL,
    seq bigint,
    voter_id text,
    reason text NOT NULL,
    by_id text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_vote_voids PRIMARY KEY (id),
    CONSTRAINT ck_vote_voids_one_target CHECK ((seq IS NULL) <> (voter_id IS NULL)),
    CONSTRAINT uq_vote_voids_ballot_id_seq UNIQUE (ballot_id, seq),
    CONSTRAINT uq_vote_voids_ballot_id_voter_id UNIQUE (ballot_id, voter_id),
    CONSTRAINT fk_vote_voids_ballot_id FOREIGN KEY (ballot_id) REFERENCES ballots (id),
    CONSTRAINT fk_vote_voids_voter_id FOREIGN KEY (voter_id) REFERENCES users (id),
    CONSTRAINT fk_vote_voids_by_id FOREIGN KEY (by_id) REFERENCES users (id)
);
"""

APPEND_ONLY = """
CREATE TRIGGER votes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON votes
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'votes are append-only; a change is a new vote');
CREATE TRIGGER vote_voids_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vote_voids
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'what was declared void stays on record');
"""


def upgrade() -> None:
    connection = op.get_bind()
    for part in (TABLES, APPEND_ONLY):
        connection.exec_driver_sql(part, execution_options={"no_parameters": True})
