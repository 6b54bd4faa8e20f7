"""Messages between the people of a path."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE path_messages (
    id text NOT NULL,
    path_id text NOT NULL,
    author_id text NOT NULL,
    to_id text NOT NULL,
    role text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    file_ids text[] DEFAULT '{}' NOT NULL,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_path_messages PRIMARY KEY (id),
    CONSTRAINT ck_path_messages_body CHECK (length(body) BETWEEN 1 AND 4000),
    CONSTRAINT ck_path_messages_two_people CHECK (author_id <> to_id),
    CONSTRAINT fk_path_messages_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_path_messages_author_id FOREIGN KEY (author_id) REFERENCES users (id),
    CONSTRAINT fk_path_messages_to_id FOREIGN KEY (to_id) REFERENCES users (id)
);
CREATE INDEX ix_path_messages_author_id_at ON path_messages (author_id, at);
CREATE INDEX ix_path_messages_path_id_id ON path_messages (path_id, id);

CREATE TRIGGER path_messages_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON path_messages
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change(
        'what was said stays; a correction is a new message');
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
