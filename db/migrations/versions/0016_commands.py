"""Commands of operators, with what they would post and who approved them."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE cases ADD COLUMN assignee_id text,
    ADD CONSTRAINT fk_cases_assignee_id FOREIGN KEY (assignee_id) REFERENCES users (id);

CREATE TABLE commands (
    id text NOT NULL,
    kind text NOT NULL,
    case_id text,
    path_id text,
    user_id text,
    input jsonb NOT NULL,
    reason text NOT NULL,
    amount bigint,
    currency text,
    needs_two boolean NOT NULL,
    state text NOT NULL,
    preview jsonb NOT NULL,
    preview_sha256 text NOT NULL,
    proposed_by text NOT NULL,
    approved_by text,
    executed_by text,
    refusal text,
    outcome jsonb,
    proposed_at timestamptz DEFAULT now() NOT NULL,
    decided_at timestamptz,
    executed_at timestamptz,
    lapses_at timestamptz NOT NULL,
    CONSTRAINT pk_commands PRIMARY KEY (id),
    CONSTRAINT ck_commands_state CHECK (state IN ('approved', 'executed', 'executing', 'lapsed', 'proposed', 'rejected')),
    CONSTRAINT ck_commands_reason CHECK (length(btrim(reason)) >= 10),
    CONSTRAINT ck_commands_two_people CHECK (approved_by <> proposed_by),
    CONSTRAINT ck_commands_approved CHECK (NOT needs_two OR approved_by IS NOT NULL OR state IN ('lapsed', 'proposed', 'rejected')),
    CONSTRAINT ck_commands_money CHECK ((amount IS NULL) = (currency IS NULL)),
    CONSTRAINT ck_commands_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_commands_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_commands_path_id FOREIGN KEY(path_id) REFERENCES paths (id),
    CONSTRAINT fk_commands_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_commands_proposed_by FOREIGN KEY(proposed_by) REFERENCES users (id),
    CONSTRAINT fk_commands_approved_by FOREIGN KEY(approved_by) REFERENCES users (id),
    CONSTRAINT fk_commands_executed_by FOREIGN KEY(executed_by) REFERENCES users (id)
);

CREATE INDEX ix_commands_case_id ON commands (case_id) WHERE case_id IS NOT NULL;

CREATE INDEX ix_commands_path_id_executed_at ON commands (path_id, executed_at);

CREATE INDEX ix_commands_state_id ON commands (state, id);

CREATE TABLE command_items (
    command_id text NOT NULL,
    number bigint NOT NULL,
    path_id text NOT NULL,
    state text NOT NULL,
    preview jsonb,
    preview_sha256 text,
    refusal text,
    outcome jsonb,
    CONSTRAINT pk_command_items PRIMARY KEY (command_id, number),
    CONSTRAINT ck_command_items_state CHECK (state IN ('done', 'executing', 'planned', 'refused')),
    CONSTRAINT fk_command_items_command_id FOREIGN KEY(command_id) REFERENCES commands (id)
);

CREATE INDEX ix_command_items_path_id ON command_items (path_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
