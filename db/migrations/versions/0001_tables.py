"""The tables of the first release."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE idempotency_keys (
    user_id text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    resource_id text NOT NULL,
    status_code integer,
    body jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, key)
);

CREATE TABLE ledger_accounts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    owner text NOT NULL,
    currency text NOT NULL,
    path_id text,
    debits_posted bigint DEFAULT 0 NOT NULL,
    credits_posted bigint DEFAULT 0 NOT NULL,
    debits_pending bigint DEFAULT 0 NOT NULL,
    credits_pending bigint DEFAULT 0 NOT NULL,
    balance bigint GENERATED ALWAYS AS (CASE WHEN kind IN ('cash', 'clearing', 'loss', 'psp_fee',
        'receivable') THEN debits_posted - credits_posted ELSE credits_posted - debits_posted END)
        STORED NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_ledger_accounts PRIMARY KEY (id),
    CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('cash', 'clearing', 'deposit', 'dispute',
        'escrow', 'fee', 'held', 'loss', 'match', 'payable', 'protection_fund', 'psp_fee',
        'receivable', 'refund_due', 'royalty', 'transit')),
    CONSTRAINT ck_ledger_accounts_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_ledger_accounts_path_bound CHECK ((kind IN ('deposit', 'dispute', 'escrow',
        'refund_due')) = (path_id IS NOT NULL)),
    CONSTRAINT ck_ledger_accounts_pending_not_negative CHECK (debits_pending >= 0 AND
        credits_pending >= 0),
    CONSTRAINT ck_ledger_accounts_not_overdrawn CHECK (kind IN ('cash', 'dispute', 'fee', 'loss',
        'psp_fee', 'royalty') OR CASE WHEN kind IN ('cash', 'clearing', 'loss', 'psp_fee',
        'receivable') THEN debits_posted - credits_posted - credits_pending >= 0 ELSE credits_posted
        - debits_posted - debits_pending >= 0 END),
    CONSTRAINT uq_ledger_accounts_kind_owner_currency UNIQUE (kind, owner, currency)
);
CREATE INDEX ix_ledger_accounts_owner ON ledger_accounts (owner);
CREATE INDEX ix_ledger_accounts_path_id ON ledger_accounts (path_id);

CREATE TABLE ledger_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    input_hash text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    resolves_id bigint,
    currency text NOT NULL,
    total bigint NOT NULL,
    path_id text,
    note text NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_ledger_entries PRIMARY KEY (id),
    CONSTRAINT ck_ledger_entries_status CHECK (status IN ('pending', 'posted', 'void')),
    CONSTRAINT ck_ledger_entries_resolves CHECK (CASE status WHEN 'pending' THEN resolves_id IS NULL
        WHEN 'void' THEN resolves_id IS NOT NULL ELSE true END),
    CONSTRAINT ck_ledger_entries_total_positive CHECK (total > 0),
    CONSTRAINT ck_ledger_entries_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT uq_ledger_entries_key UNIQUE (key),
    CONSTRAINT uq_ledger_entries_resolves_id UNIQUE (resolves_id),
    CONSTRAINT fk_ledger_entries_resolves_id FOREIGN KEY (resolves_id) REFERENCES ledger_entries
        (id)
);
CREATE INDEX ix_ledger_entries_path_id_id ON ledger_entries (path_id, id);

CREATE TABLE users (
    id text NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    display_name text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_issuer_subject UNIQUE (issuer, subject)
);

CREATE TABLE webhook_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    source text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    body bytea NOT NULL,
    status text NOT NULL,
    reason text,
    attempts integer DEFAULT 0 NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    next_attempt_at timestamptz DEFAULT now() NOT NULL,
    consumed_at timestamptz,
    CONSTRAINT pk_webhook_inbox PRIMARY KEY (id),
    CONSTRAINT ck_webhook_inbox_status CHECK (status IN ('consumed', 'ignored', 'received',
        'rejected'))
);
CREATE INDEX ix_webhook_inbox_due ON webhook_inbox (next_attempt_at) WHERE status = 'received';
CREATE UNIQUE INDEX uq_webhook_inbox_rejected ON webhook_inbox (source, event_id) WHERE status =
    'rejected';
CREATE INDEX ix_webhook_inbox_rejected_at ON webhook_inbox (source, received_at) WHERE status =
    'rejected';
CREATE INDEX ix_webhook_inbox_subject ON webhook_inbox (subject);
CREATE UNIQUE INDEX uq_webhook_inbox_event ON webhook_inbox (source, event_id) WHERE status <>
    'rejected';

CREATE TABLE files (
    id text NOT NULL,
    owner_id text NOT NULL,
    sha256 text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_files PRIMARY KEY (id),
    CONSTRAINT fk_files_owner_id FOREIGN KEY (owner_id) REFERENCES users (id)
);

CREATE TABLE ledger_postings (
    id bigint GENERATED ALWAYS AS IDENTITY,
    entry_id bigint NOT NULL,
    account_id bigint NOT NULL,
    side text NOT NULL,
    amount bigint NOT NULL,
    balance_after bigint,
    CONSTRAINT pk_ledger_postings PRIMARY KEY (id),
    CONSTRAINT ck_ledger_postings_side CHECK (side IN ('credit', 'debit')),
    CONSTRAINT ck_ledger_postings_amount_positive CHECK (amount > 0),
    CONSTRAINT fk_ledger_postings_entry_id FOREIGN KEY (entry_id) REFERENCES ledger_entries (id),
    CONSTRAINT fk_ledger_postings_account_id FOREIGN KEY (account_id) REFERENCES ledger_accounts
        (id)
);
CREATE INDEX ix_ledger_postings_account_id_id ON ledger_postings (account_id, id);
CREATE INDEX ix_ledger_postings_entry_id ON ledger_postings (entry_id);

CREATE TABLE listings (
    id text NOT NULL,
    seller_id text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    unit_price bigint NOT NULL,
    currency text NOT NULL,
    stock_kind text NOT NULL,
    stock bigint NOT NULL,
    lead_days integer NOT NULL,
    available_from timestamptz,
    royalty_basis_points integer NOT NULL,
    royalty_sku text,
    delivery text[] NOT NULL,
    picture_ids text[] NOT NULL,
    on_sale boolean NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_listings PRIMARY KEY (id),
    CONSTRAINT ck_listings_unit_price_positive CHECK (unit_price > 0),
    CONSTRAINT ck_listings_stock_not_negative CHECK (stock >= 0),
    CONSTRAINT ck_listings_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_listings_seller_id FOREIGN KEY (seller_id) REFERENCES users (id)
);
CREATE INDEX ix_listings_seller_id_id ON listings (seller_id, id);

CREATE TABLE paths (
    id text NOT NULL,
    kind text NOT NULL,
    workflow_id text NOT NULL,
    initiator_id text NOT NULL,
    currency text NOT NULL,
    phase text NOT NULL,
    deadlines jsonb DEFAULT '[]' NOT NULL,
    opened_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    closed_at timestamptz,
    CONSTRAINT pk_paths PRIMARY KEY (id),
    CONSTRAINT ck_paths_closed_waits_for_nothing CHECK (closed_at IS NULL OR deadlines = '[]'),
    CONSTRAINT ck_paths_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT uq_paths_workflow_id UNIQUE (workflow_id),
    CONSTRAINT fk_paths_initiator_id FOREIGN KEY (initiator_id) REFERENCES users (id)
);
CREATE INDEX ix_paths_kind_phase ON paths (kind, phase);

CREATE TABLE payout_destinations (
    id text NOT NULL,
    user_id text NOT NULL,
    provider text NOT NULL,
    currency text NOT NULL,
    account text NOT NULL,
    holder text NOT NULL,
    status text NOT NULL,
    automatic boolean NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_payout_destinations PRIMARY KEY (id),
    CONSTRAINT ck_payout_destinations_status CHECK (status IN ('active', 'failed', 'replaced')),
    CONSTRAINT ck_payout_destinations_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT fk_payout_destinations_user_id FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE UNIQUE INDEX uq_payout_destinations_active ON payout_destinations (user_id, currency) WHERE
    status = 'active';

CREATE TABLE user_roles (
    user_id text NOT NULL,
    role text NOT NULL,
    granted_by text,
    granted_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_user_roles PRIMARY KEY (user_id, role),
    CONSTRAINT fk_user_roles_user_id FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_user_roles_granted_by FOREIGN KEY (granted_by) REFERENCES users (id)
);

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    path_id text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    phase text NOT NULL,
    actor text NOT NULL,
    summary text NOT NULL,
    data jsonb DEFAULT '{}' NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    published_at timestamptz,
    CONSTRAINT pk_events PRIMARY KEY (id),
    CONSTRAINT fk_events_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT uq_events_key UNIQUE (key)
);
CREATE INDEX ix_events_path_id_id ON events (path_id, id);

CREATE TABLE payments (
    id text NOT NULL,
    path_id text NOT NULL,
    payer_id text NOT NULL,
    provider text NOT NULL,
    operation_id text NOT NULL,
    reference text,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    checkout_url text,
    fee bigint DEFAULT 0 NOT NULL,
    expires_at timestamptz NOT NULL,
    hold_deadline timestamptz,
    captured_at timestamptz,
    settled_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_payments PRIMARY KEY (id),
    CONSTRAINT ck_payments_amount_positive CHECK (amount > 0),
    CONSTRAINT ck_payments_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT uq_payments_provider_reference UNIQUE (provider, reference),
    CONSTRAINT fk_payments_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_payments_payer_id FOREIGN KEY (payer_id) REFERENCES users (id),
    CONSTRAINT uq_payments_operation_id UNIQUE (operation_id)
);
CREATE INDEX ix_payments_path_id ON payments (path_id);

CREATE TABLE payouts (
    id text NOT NULL,
    user_id text NOT NULL,
    destination_id text NOT NULL,
    provider text NOT NULL,
    operation_id text NOT NULL,
    reference text,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    failure_reason text,
    created_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_payouts PRIMARY KEY (id),
    CONSTRAINT ck_payouts_amount_positive CHECK (amount > 0),
    CONSTRAINT ck_payouts_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT uq_payouts_provider_reference UNIQUE (provider, reference),
    CONSTRAINT fk_payouts_user_id FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_payouts_destination_id FOREIGN KEY (destination_id) REFERENCES payout_destinations
        (id),
    CONSTRAINT uq_payouts_operation_id UNIQUE (operation_id)
);
CREATE INDEX ix_payouts_user_id_id ON payouts (user_id, id);

CREATE TABLE sales (
    id text NOT NULL,
    buyer_id text NOT NULL,
    seller_id text NOT NULL,
    total bigint NOT NULL,
    terms jsonb NOT NULL,
    carrier text,
    tracking_number text,
    label_paid_by text,
    last_scan_at timestamptz,
    end_reason text,
    CONSTRAINT pk_sales PRIMARY KEY (id),
    CONSTRAINT fk_sales_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_sales_buyer_id FOREIGN KEY (buyer_id) REFERENCES users (id),
    CONSTRAINT fk_sales_seller_id FOREIGN KEY (seller_id) REFERENCES users (id)
);
CREATE INDEX ix_sales_buyer_id_id ON sales (buyer_id, id);
CREATE INDEX ix_sales_seller_id_id ON sales (seller_id, id);
CREATE UNIQUE INDEX uq_sales_parcel ON sales (carrier, tracking_number) WHERE tracking_number IS NOT
    NULL;

CREATE TABLE refunds (
    id text NOT NULL,
    path_id text NOT NULL,
    payment_id text NOT NULL,
    payer_id text NOT NULL,
    provider text NOT NULL,
    operation_id text NOT NULL,
    reference text,
    amount bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    status text NOT NULL,
    failure_reason text,
    created_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_refunds PRIMARY KEY (id),
    CONSTRAINT ck_refunds_amount_positive CHECK (amount > 0),
    CONSTRAINT ck_refunds_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT uq_refunds_provider_reference UNIQUE (provider, reference),
    CONSTRAINT fk_refunds_path_id FOREIGN KEY (path_id) REFERENCES paths (id),
    CONSTRAINT fk_refunds_payment_id FOREIGN KEY (payment_id) REFERENCES payments (id),
    CONSTRAINT fk_refunds_payer_id FOREIGN KEY (payer_id) REFERENCES users (id),
    CONSTRAINT uq_refunds_operation_id UNIQUE (operation_id)
);
CREATE INDEX ix_refunds_path_id ON refunds (path_id);

CREATE TABLE reservations (
    sale_id text NOT NULL,
    listing_id text NOT NULL,
    quantity bigint NOT NULL,
    state text NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_reservations PRIMARY KEY (sale_id, listing_id),
    CONSTRAINT ck_reservations_quantity_positive CHECK (quantity > 0),
    CONSTRAINT ck_reservations_state CHECK (state IN ('released', 'reserved', 'sold')),
    CONSTRAINT fk_reservations_sale_id FOREIGN KEY (sale_id) REFERENCES sales (id),
    CONSTRAINT fk_reservations_listing_id FOREIGN KEY (listing_id) REFERENCES listings (id)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
