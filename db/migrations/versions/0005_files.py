"""Private files, documents, thumbnails."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Until now every file was a public picture, and its name was not kept.
TABLES = """
ALTER TABLE files
    ALTER COLUMN width DROP NOT NULL,
    ALTER COLUMN height DROP NOT NULL,
    ADD COLUMN name text DEFAULT 'picture' NOT NULL,
    ADD COLUMN private boolean DEFAULT false NOT NULL,
    ADD COLUMN thumbnail_sha256 text,
    ADD CONSTRAINT ck_files_pixels CHECK ((width IS NULL) = (height IS NULL));
ALTER TABLE files ALTER COLUMN name DROP DEFAULT;

CREATE TABLE file_grants (
    file_id text NOT NULL,
    path_id text NOT NULL,
    audience text NOT NULL,
    CONSTRAINT pk_file_grants PRIMARY KEY (file_id, path_id, audience),
    CONSTRAINT fk_file_grants_file_id FOREIGN KEY (file_id) REFERENCES files (id)
);
CREATE INDEX ix_file_grants_path_id ON file_grants (path_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
