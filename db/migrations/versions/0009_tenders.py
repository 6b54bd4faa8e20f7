"""Tenders, bids and milestones."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE tenders (
    id text NOT NULL,
    terms jsonb NOT NULL,
    deposit_payment_id text,
    worker_id text,
    reserves jsonb DEFAULT '[]' NOT NULL,
    ending text,
    end_reason text,
    moves bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_tenders PRIMARY KEY (id),
    CONSTRAINT fk_tenders_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_tenders_deposit_payment_id FOREIGN KEY (deposit_payment_id) REFERENCES
        payments (id),
    CONSTRAINT fk_tenders_worker_id FOREIGN KEY (worker_id) REFERENCES users (id)
);

CREATE TABLE bids (
    id text NOT NULL,
    tender_id text NOT NULL,
    bidder_id text NOT NULL,
    status text NOT NULL,
    price bigint NOT NULL,
    lead_days integer NOT NULL,
    message text NOT NULL,
    file_ids text[] NOT NULL,
    revision integer NOT NULL,
    sample_score integer,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_bids PRIMARY KEY (id),
    CONSTRAINT ck_bids_price_positive CHECK (price > 0),
    CONSTRAINT ck_bids_lead_days_positive CHECK (lead_days > 0),
    CONSTRAINT ck_bids_sample_score CHECK (sample_score BETWEEN 0 AND 100),
    CONSTRAINT ck_bids_status CHECK (status IN ('live', 'withdrawn')),
    CONSTRAINT fk_bids_tender_id FOREIGN KEY (tender_id) REFERENCES tenders (id),
    CONSTRAINT fk_bids_bidder_id FOREIGN KEY (bidder_id) REFERENCES users (id)
);
CREATE INDEX ix_bids_bidder_id_id ON bids (bidder_id, id);
CREATE INDEX ix_bids_tender_id_id ON bids (tender_id, id);
CREATE UNIQUE INDEX uq_bids_live ON bids (tender_id, bidder_id) WHERE status = 'live';

CREATE TABLE bid_revisions (
    bid_id text NOT NULL,
    number integer NOT NULL,
    price bigint NOT NULL,
    lead_days integer NOT NULL,
    message text NOT NULL,
    file_ids text[] NOT NULL,
    offer integer,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_bid_revisions PRIMARY KEY (bid_id, number),
    CONSTRAINT fk_bid_revisions_bid_id FOREIGN KEY (bid_id) REFERENCES bids (id)
);

CREATE TABLE offers (
    bid_id text NOT NULL,
    number integer NOT NULL,
    made_by text NOT NULL,
    price bigint NOT NULL,
    lead_days integer NOT NULL,
    note text NOT NULL,
    state text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    answered_at timestamptz,
    CONSTRAINT pk_offers PRIMARY KEY (bid_id, number),
    CONSTRAINT ck_offers_price_positive CHECK (price > 0),
    CONSTRAINT ck_offers_lead_days_positive CHECK (lead_days > 0),
    CONSTRAINT ck_offers_made_by CHECK (made_by IN ('bidder', 'initiator')),
    CONSTRAINT ck_offers_state CHECK (state IN ('accepted', 'declined', 'open',
        'superseded')),
    CONSTRAINT fk_offers_bid_id FOREIGN KEY (bid_id) REFERENCES bids (id)
);
CREATE UNIQUE INDEX uq_offers_open ON offers (bid_id) WHERE state = 'open';

CREATE TABLE awards (
    tender_id text NOT NULL,
    number integer NOT NULL,
    bid_id text NOT NULL,
    bidder_id text NOT NULL,
    plan jsonb NOT NULL,
    outcome text NOT NULL,
    at timestamptz NOT NULL,
    answered_at timestamptz,
    CONSTRAINT pk_awards PRIMARY KEY (tender_id, number),
    CONSTRAINT ck_awards_outcome CHECK (outcome IN ('accepted', 'declined', 'lapsed',
        'offered', 'retracted')),
    CONSTRAINT fk_awards_tender_id FOREIGN KEY (tender_id) REFERENCES tenders (id),
    CONSTRAINT fk_awards_bid_id FOREIGN KEY (bid_id) REFERENCES bids (id),
    CONSTRAINT fk_awards_bidder_id FOREIGN KEY (bidder_id) REFERENCES users (id)
);
CREATE INDEX ix_awards_bidder_id_outcome ON awards (bidder_id, outcome);

CREATE TABLE milestones (
    tender_id text NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    amount bigint NOT NULL,
    carried bigint NOT NULL,
    due_days integer NOT NULL,
    state text NOT NULL,
    payment_id text,
    due_at timestamptz,
    hard_stop_at timestamptz,
    rounds integer NOT NULL,
    changes integer NOT NULL,
    disputed_from text,
    released bigint NOT NULL,
    refunded bigint NOT NULL,
    CONSTRAINT pk_milestones PRIMARY KEY (tender_id, number),
    CONSTRAINT ck_milestones_amounts CHECK (amount >= 0 AND carried >= 0),
    CONSTRAINT ck_milestones_moved CHECK (released >= 0 AND refunded >= 0),
    CONSTRAINT fk_milestones_tender_id FOREIGN KEY (tender_id) REFERENCES tenders (id),
    CONSTRAINT uq_milestones_payment_id UNIQUE (payment_id),
    CONSTRAINT fk_milestones_payment_id FOREIGN KEY (payment_id) REFERENCES payments (id)
);

CREATE TABLE submissions (
    tender_id text NOT NULL,
    milestone integer NOT NULL,
    round integer NOT NULL,
    note text NOT NULL,
    file_ids text[] NOT NULL,
    at timestamptz NOT NULL,
    changes_wanted text,
    CONSTRAINT pk_submissions PRIMARY KEY (tender_id, milestone, round),
    CONSTRAINT fk_submissions_tender_id FOREIGN KEY (tender_id, milestone) REFERENCES
        milestones (tender_id, number)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
