"""Match calls, reservations and spendings."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE match_calls (
    id text NOT NULL,
    terms jsonb NOT NULL,
    payment_id text,
    paid bigint DEFAULT 0 NOT NULL,
    reserved bigint DEFAULT 0 NOT NULL,
    used bigint DEFAULT 0 NOT NULL,
    spent bigint DEFAULT 0 NOT NULL,
    returned bigint DEFAULT 0 NOT NULL,
    lost bigint DEFAULT 0 NOT NULL,
    positions bigint DEFAULT 0 NOT NULL,
    to_pass_on boolean DEFAULT false NOT NULL,
    closed_at timestamptz,
    end_reason text,
    moves bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_match_calls PRIMARY KEY (id),
    CONSTRAINT ck_match_calls_promised CHECK (reserved >= 0 AND used >= 0 AND spent >= 0),
    CONSTRAINT ck_match_calls_moved CHECK (paid >= 0 AND returned >= 0 AND lost >= 0),
    CONSTRAINT ck_match_calls_not_overdrawn CHECK (paid >= reserved + used + spent + returned +
        lost),
    CONSTRAINT fk_match_calls_payment_id FOREIGN KEY (payment_id) REFERENCES payments (id)
);

CREATE TABLE match_projects (
    call_id text NOT NULL,
    campaign_id text NOT NULL,
    creator_id text NOT NULL,
    state text NOT NULL,
    note text NOT NULL,
    applied_at timestamptz NOT NULL,
    answer_by timestamptz NOT NULL,
    answered_at timestamptz,
    answer_note text DEFAULT '' NOT NULL,
    accepted_at timestamptz,
    decided_at timestamptz,
    reserved bigint DEFAULT 0 NOT NULL,
    used bigint DEFAULT 0 NOT NULL,
    given_back bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_match_projects PRIMARY KEY (call_id, campaign_id),
    CONSTRAINT ck_match_projects_state CHECK (state IN ('accepted', 'applied', 'declined')),
    CONSTRAINT ck_match_projects_amounts CHECK (reserved >= 0 AND used >= 0 AND given_back >=
        0),
    CONSTRAINT ck_match_projects_accepted CHECK ((state = 'accepted') = (accepted_at IS NOT
        NULL)),
    CONSTRAINT fk_match_projects_call_id FOREIGN KEY (call_id) REFERENCES match_calls (id),
    CONSTRAINT fk_match_projects_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns
        (id),
    CONSTRAINT fk_match_projects_creator_id FOREIGN KEY (creator_id) REFERENCES users (id)
);

CREATE INDEX ix_match_projects_campaign_id ON match_projects (campaign_id);

CREATE TABLE match_reservations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    call_id text NOT NULL,
    campaign_id text NOT NULL,
    pledge_id text,
    backer_id text,
    position bigint NOT NULL,
    wanted bigint NOT NULL,
    amount bigint NOT NULL,
    state text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_match_reservations PRIMARY KEY (id),
    CONSTRAINT ck_match_reservations_state CHECK (state IN ('freed', 'reserved', 'used')),
    CONSTRAINT ck_match_reservations_amounts CHECK (wanted > 0 AND amount BETWEEN 0 AND wanted),
    CONSTRAINT ck_match_reservations_pledge_or_lump CHECK ((pledge_id IS NULL) = (backer_id IS
        NULL)),
    CONSTRAINT fk_match_reservations_call_id FOREIGN KEY (call_id) REFERENCES match_calls (id),
    CONSTRAINT fk_match_reservations_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns
        (id),
    CONSTRAINT fk_match_reservations_backer_id FOREIGN KEY (backer_id) REFERENCES users (id)
);

CREATE UNIQUE INDEX ix_match_reservations_call_id_position ON match_reservations (call_id,
    position);

CREATE INDEX ix_match_reservations_campaign_id_state ON match_reservations (campaign_id, state);

CREATE INDEX ix_match_reservations_person ON match_reservations (call_id, backer_id) WHERE state
    <> 'freed';

CREATE INDEX ix_match_reservations_waiting ON match_reservations (call_id, position) WHERE state
    = 'reserved' AND amount < wanted;

CREATE UNIQUE INDEX uq_match_reservations_lump ON match_reservations (call_id, campaign_id)
    WHERE pledge_id IS NULL AND state <> 'freed';

CREATE UNIQUE INDEX uq_match_reservations_pledge ON match_reservations (pledge_id, call_id)
    WHERE state <> 'freed';

CREATE TABLE match_spendings (
    id text NOT NULL,
    call_id text NOT NULL,
    asked_by text NOT NULL,
    payee_id text NOT NULL,
    amount bigint NOT NULL,
    purpose text NOT NULL,
    file_ids text[] NOT NULL,
    state text NOT NULL,
    asked_at timestamptz NOT NULL,
    ended_at timestamptz,
    refused_by text,
    note text DEFAULT '' NOT NULL,
    CONSTRAINT pk_match_spendings PRIMARY KEY (id),
    CONSTRAINT ck_match_spendings_state CHECK (state IN ('asked', 'called_off', 'lapsed',
        'paid', 'refused')),
    CONSTRAINT ck_match_spendings_amount_positive CHECK (amount > 0),
    CONSTRAINT fk_match_spendings_call_id FOREIGN KEY (call_id) REFERENCES match_calls (id),
    CONSTRAINT fk_match_spendings_asked_by FOREIGN KEY (asked_by) REFERENCES users (id),
    CONSTRAINT fk_match_spendings_payee_id FOREIGN KEY (payee_id) REFERENCES users (id),
    CONSTRAINT fk_match_spendings_refused_by FOREIGN KEY (refused_by) REFERENCES users (id)
);

CREATE INDEX ix_match_spendings_call_id_id ON match_spendings (call_id, id);

CREATE TABLE match_approvals (
    spending_id text NOT NULL,
    approver_id text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_match_approvals PRIMARY KEY (spending_id, approver_id),
    CONSTRAINT fk_match_approvals_spending_id FOREIGN KEY (spending_id) REFERENCES
        match_spendings (id),
    CONSTRAINT fk_match_approvals_approver_id FOREIGN KEY (approver_id) REFERENCES users (id)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
