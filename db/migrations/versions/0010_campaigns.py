"""Campaigns, tiers and pledges; match budgets belong to their path."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE campaigns (
    id text NOT NULL,
    terms jsonb NOT NULL,
    round integer DEFAULT 1 NOT NULL,
    launched_at timestamptz,
    closed_for_pledges_at timestamptz,
    slow_until timestamptz,
    fix_until timestamptz,
    result jsonb,
    succeeded_at timestamptz,
    taken_in bigint DEFAULT 0 NOT NULL,
    released bigint DEFAULT 0 NOT NULL,
    fee_taken bigint DEFAULT 0 NOT NULL,
    disputed bigint DEFAULT 0 NOT NULL,
    deliver_by date,
    rewards_locked_at timestamptz,
    ballot_id text,
    updated_backers_at timestamptz,
    review_note text,
    end_reason text,
    moves bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_campaigns PRIMARY KEY (id),
    CONSTRAINT ck_campaigns_amounts CHECK (taken_in >= 0 AND released >= 0 AND disputed >= 0),
    CONSTRAINT ck_campaigns_not_overdrawn CHECK (released <= taken_in),
    CONSTRAINT ck_campaigns_fee CHECK (fee_taken BETWEEN 0 AND released),
    CONSTRAINT fk_campaigns_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_campaigns_ballot_id FOREIGN KEY (ballot_id) REFERENCES paths (id)
);

CREATE TABLE campaign_items (
    campaign_id text NOT NULL,
    number integer NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    price bigint NOT NULL,
    seats integer,
    taken integer DEFAULT 0 NOT NULL,
    each_most integer DEFAULT 10 NOT NULL,
    shipping jsonb NOT NULL,
    deliver_on date,
    for_tiers jsonb DEFAULT '[]' NOT NULL,
    on_sale boolean DEFAULT true NOT NULL,
    CONSTRAINT pk_campaign_items PRIMARY KEY (campaign_id, number),
    CONSTRAINT ck_campaign_items_kind CHECK (kind IN ('add_on', 'tier')),
    CONSTRAINT ck_campaign_items_price_positive CHECK (price > 0),
    CONSTRAINT ck_campaign_items_not_oversold CHECK (taken >= 0 AND (seats IS NULL OR taken <=
        seats)),
    CONSTRAINT fk_campaign_items_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns (id)
);

CREATE TABLE saved_cards (
    id text NOT NULL,
    payer_id text NOT NULL,
    provider text NOT NULL,
    operation_id text NOT NULL,
    reference text,
    checkout_url text,
    currency text NOT NULL,
    status text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_saved_cards PRIMARY KEY (id),
    CONSTRAINT ck_saved_cards_status CHECK (status IN ('open', 'released', 'requested', 'saved')),
    CONSTRAINT fk_saved_cards_payer_id FOREIGN KEY (payer_id) REFERENCES users (id),
    CONSTRAINT uq_saved_cards_operation_id UNIQUE (operation_id)
);

CREATE UNIQUE INDEX uq_saved_cards_reference ON saved_cards (provider, reference);

CREATE TABLE pledges (
    id text NOT NULL,
    campaign_id text NOT NULL,
    backer_id text NOT NULL,
    state text NOT NULL,
    method text NOT NULL,
    round integer NOT NULL,
    late boolean DEFAULT false NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    shipping bigint DEFAULT 0 NOT NULL,
    selection jsonb NOT NULL,
    tier integer,
    holds_seats boolean DEFAULT true NOT NULL,
    expires_at timestamptz,
    payment_id text,
    card_id text,
    pending jsonb,
    paid bigint DEFAULT 0 NOT NULL,
    refunded bigint DEFAULT 0 NOT NULL,
    to_refund bigint,
    attempts integer DEFAULT 0 NOT NULL,
    decline_reason text,
    dispute_open boolean DEFAULT false NOT NULL,
    anonymous boolean DEFAULT false NOT NULL,
    note text DEFAULT '' NOT NULL,
    reward text DEFAULT 'none' NOT NULL,
    survey jsonb,
    address jsonb,
    carrier text,
    tracking_number text,
    shipped_at timestamptz,
    received_at timestamptz,
    created_at timestamptz NOT NULL,
    stands_since timestamptz,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_pledges PRIMARY KEY (id),
    CONSTRAINT ck_pledges_state CHECK (state IN ('cancelled', 'charged_back', 'charging',
        'collected', 'dropped', 'errored', 'expired', 'funded', 'initiated', 'refunded',
        'refunding', 'released', 'saved')),
    CONSTRAINT ck_pledges_method CHECK (method IN ('bank', 'card', 'wallet')),
    CONSTRAINT ck_pledges_reward CHECK (reward IN ('locked', 'missing', 'none', 'owed',
        'received', 'shipped')),
    CONSTRAINT ck_pledges_amounts CHECK (amount > 0 AND shipping >= 0),
    CONSTRAINT ck_pledges_paid CHECK (paid >= 0 AND refunded >= 0 AND refunded <= paid),
    CONSTRAINT ck_pledges_to_refund CHECK (to_refund IS NULL OR to_refund >= 0),
    CONSTRAINT ck_pledges_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_pledges_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns (id),
    CONSTRAINT fk_pledges_backer_id FOREIGN KEY (backer_id) REFERENCES users (id),
    CONSTRAINT fk_pledges_payment_id FOREIGN KEY (payment_id) REFERENCES payments (id),
    CONSTRAINT fk_pledges_card_id FOREIGN KEY (card_id) REFERENCES saved_cards (id)
);

CREATE INDEX ix_pledges_anonymous ON pledges (campaign_id, backer_id) WHERE anonymous;

CREATE INDEX ix_pledges_backer_id_id ON pledges (backer_id, id);

CREATE INDEX ix_pledges_campaign_id_backer_id ON pledges (campaign_id, backer_id);

CREATE INDEX ix_pledges_campaign_id_state_id ON pledges (campaign_id, state, id);

CREATE INDEX ix_pledges_expiring ON pledges (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX ix_pledges_to_refund ON pledges (campaign_id, id) WHERE to_refund IS NOT NULL;

CREATE TABLE pledge_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    pledge_id text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    summary text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_pledge_events PRIMARY KEY (id),
    CONSTRAINT fk_pledge_events_pledge_id FOREIGN KEY (pledge_id) REFERENCES pledges (id),
    CONSTRAINT uq_pledge_events_key UNIQUE (key)
);

CREATE INDEX ix_pledge_events_pledge_id_id ON pledge_events (pledge_id, id);

CREATE TABLE pledge_stats (
    campaign_id text NOT NULL,
    hour timestamptz NOT NULL,
    tier integer NOT NULL,
    pledges bigint DEFAULT 0 NOT NULL,
    amount bigint DEFAULT 0 NOT NULL,
    paid bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_pledge_stats PRIMARY KEY (campaign_id, hour, tier),
    CONSTRAINT fk_pledge_stats_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns (id)
);

CREATE TABLE campaign_tranches (
    campaign_id text NOT NULL,
    number integer NOT NULL,
    trigger text NOT NULL,
    title text NOT NULL,
    basis_points integer NOT NULL,
    state text NOT NULL,
    reached integer DEFAULT 0 NOT NULL,
    claimed integer DEFAULT 0 NOT NULL,
    report jsonb,
    reported_at timestamptz,
    decided_at timestamptz,
    CONSTRAINT pk_campaign_tranches PRIMARY KEY (campaign_id, number),
    CONSTRAINT ck_campaign_tranches_state CHECK (state IN ('planned', 'released', 'reported',
        'stopped')),
    CONSTRAINT ck_campaign_tranches_basis_points CHECK (basis_points BETWEEN 0 AND 10000),
    CONSTRAINT ck_campaign_tranches_reached CHECK (reached BETWEEN 0 AND 10000),
    CONSTRAINT fk_campaign_tranches_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns
        (id)
);

CREATE TABLE campaign_updates (
    campaign_id text NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    for_backers boolean NOT NULL,
    file_ids text[] NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_campaign_updates PRIMARY KEY (campaign_id, number),
    CONSTRAINT fk_campaign_updates_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns (id)
);

CREATE TABLE claim_rounds (
    campaign_id text NOT NULL,
    number integer NOT NULL,
    amount bigint NOT NULL,
    for_calls bigint NOT NULL,
    paid bigint DEFAULT 0 NOT NULL,
    pledges integer DEFAULT 0 NOT NULL,
    begun_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_claim_rounds PRIMARY KEY (campaign_id, number),
    CONSTRAINT ck_claim_rounds_amounts CHECK (amount > 0 AND for_calls BETWEEN 0 AND amount),
    CONSTRAINT ck_claim_rounds_paid CHECK (paid BETWEEN 0 AND amount AND pledges >= 0),
    CONSTRAINT fk_claim_rounds_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns (id)
);

CREATE UNIQUE INDEX uq_claim_rounds_open ON claim_rounds (campaign_id) WHERE ended_at IS NULL;

CREATE TABLE claim_shares (
    pledge_id text NOT NULL,
    campaign_id text NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT pk_claim_shares PRIMARY KEY (pledge_id),
    CONSTRAINT ck_claim_shares_amount_positive CHECK (amount > 0),
    CONSTRAINT fk_claim_shares_pledge_id FOREIGN KEY (pledge_id) REFERENCES pledges (id),
    CONSTRAINT fk_claim_shares_campaign_id FOREIGN KEY (campaign_id) REFERENCES campaigns (id)
);

CREATE INDEX ix_claim_shares_campaign_id_pledge_id ON claim_shares (campaign_id, pledge_id);

CREATE TABLE provider_limits (
    provider text NOT NULL,
    endpoint text NOT NULL,
    next_at timestamptz NOT NULL,
    CONSTRAINT pk_provider_limits PRIMARY KEY (provider, endpoint)
);

ALTER TABLE payments ADD COLUMN pledge_id text,
    ADD CONSTRAINT fk_payments_pledge_id FOREIGN KEY (pledge_id) REFERENCES pledges (id);
CREATE INDEX ix_payments_pledge_id ON payments (pledge_id) WHERE pledge_id IS NOT NULL;

ALTER TABLE refunds ADD COLUMN pledge_id text, ADD COLUMN offered_until timestamptz,
    ADD CONSTRAINT fk_refunds_pledge_id FOREIGN KEY (pledge_id) REFERENCES pledges (id);
CREATE INDEX ix_refunds_payment_id ON refunds (payment_id);
CREATE INDEX ix_refunds_pledge_id ON refunds (pledge_id) WHERE pledge_id IS NOT NULL;

ALTER TABLE webhook_inbox ADD COLUMN in_batches boolean DEFAULT false NOT NULL;
CREATE INDEX ix_webhook_inbox_in_batches ON webhook_inbox (id)
    WHERE status = 'received' AND in_batches;

ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_kind,
    DROP CONSTRAINT ck_ledger_accounts_path_bound;
ALTER TABLE ledger_accounts
    ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('cash', 'claim', 'clearing', 'deposit',
        'dispute', 'escrow', 'fee', 'held', 'loss', 'match', 'payable', 'protection_fund',
        'psp_fee', 'receivable', 'refund_due', 'royalty', 'transit')),
    ADD CONSTRAINT ck_ledger_accounts_path_bound CHECK ((kind IN ('deposit', 'dispute', 'escrow',
        'match', 'refund_due')) = (path_id IS NOT NULL));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
