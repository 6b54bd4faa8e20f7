"""Contests and entries."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE contests (
    id text NOT NULL,
    owner_id text NOT NULL,
    terms jsonb NOT NULL,
    state jsonb NOT NULL,
    end_reason text,
    CONSTRAINT pk_contests PRIMARY KEY (id),
    CONSTRAINT fk_contests_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_contests_owner_id FOREIGN KEY (owner_id) REFERENCES users (id)
);
CREATE INDEX ix_contests_owner_id ON contests (owner_id);

CREATE TABLE entries (
    id text NOT NULL,
    contest_id text NOT NULL,
    creator_id text NOT NULL,
    title text NOT NULL,
    status text NOT NULL,
    finalist boolean DEFAULT false NOT NULL,
    reason text,
    remark text DEFAULT '' NOT NULL,
    received_at timestamptz NOT NULL,
    CONSTRAINT pk_entries PRIMARY KEY (id),
    CONSTRAINT ck_entries_status CHECK (status IN ('eliminated', 'entered', 'shortlisted', 'void',
        'withdrawn')),
    CONSTRAINT fk_entries_contest_id FOREIGN KEY (contest_id) REFERENCES contests (id),
    CONSTRAINT fk_entries_creator_id FOREIGN KEY (creator_id) REFERENCES users (id)
);
CREATE INDEX ix_entries_contest_id_received_at_id ON entries (contest_id, received_at, id);
CREATE INDEX ix_entries_contest_id_creator_id ON entries (contest_id, creator_id);
CREATE INDEX ix_entries_creator_id_id ON entries (creator_id, id);

CREATE TABLE entry_revisions (
    entry_id text NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    note text NOT NULL,
    files jsonb NOT NULL,
    content_sha256 text NOT NULL,
    received_at timestamptz NOT NULL,
    CONSTRAINT pk_entry_revisions PRIMARY KEY (entry_id, number),
    CONSTRAINT fk_entry_revisions_entry_id FOREIGN KEY (entry_id) REFERENCES entries (id)
);

CREATE TABLE objections (
    id text NOT NULL,
    contest_id text NOT NULL,
    entry_id text NOT NULL,
    by_id text NOT NULL,
    ground text NOT NULL,
    words text NOT NULL,
    file_ids text[] NOT NULL,
    status text NOT NULL,
    ruling text,
    ruled_by text,
    created_at timestamptz DEFAULT now() NOT NULL,
    ruled_at timestamptz,
    CONSTRAINT pk_objections PRIMARY KEY (id),
    CONSTRAINT ck_objections_status CHECK (status IN ('dismissed', 'lapsed', 'open', 'upheld')),
    CONSTRAINT fk_objections_contest_id FOREIGN KEY (contest_id) REFERENCES contests (id),
    CONSTRAINT fk_objections_entry_id FOREIGN KEY (entry_id) REFERENCES entries (id),
    CONSTRAINT fk_objections_by_id FOREIGN KEY (by_id) REFERENCES users (id),
    CONSTRAINT fk_objections_ruled_by FOREIGN KEY (ruled_by) REFERENCES users (id)
);
CREATE INDEX ix_objections_contest_id_id ON objections (contest_id, id);

CREATE TABLE licence_signatures (
    id bigint GENERATED ALWAYS AS IDENTITY,
    path_id text NOT NULL,
    user_id text NOT NULL,
    role text NOT NULL,
    entry_id text,
    text_sha256 text NOT NULL,
    signed_at timestamptz NOT NULL,
    CONSTRAINT pk_licence_signatures PRIMARY KEY (id),
    CONSTRAINT fk_licence_signatures_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_licence_signatures_user_id FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_licence_signatures_entry_id FOREIGN KEY (entry_id) REFERENCES entries (id)
);
CREATE INDEX ix_licence_signatures_path_id_id ON licence_signatures (path_id, id);

CREATE TABLE hand_overs (
    contest_id text NOT NULL,
    entry_id text NOT NULL,
    number integer NOT NULL,
    prize integer NOT NULL,
    note text NOT NULL,
    files jsonb NOT NULL,
    handed_over_at timestamptz NOT NULL,
    CONSTRAINT pk_hand_overs PRIMARY KEY (contest_id, entry_id, number),
    CONSTRAINT fk_hand_overs_contest_id FOREIGN KEY (contest_id) REFERENCES contests (id),
    CONSTRAINT fk_hand_overs_entry_id FOREIGN KEY (entry_id) REFERENCES entries (id)
);

CREATE TRIGGER entry_revisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'what was handed in is proof of authorship; a revision is a new row');
CREATE TRIGGER licence_signatures_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON licence_signatures
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change('a signature stays as it was given');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
