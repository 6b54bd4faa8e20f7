"""Returns of goods, and when a sale was delivered and completed."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE returns (
    id text NOT NULL,
    sale_id text NOT NULL,
    buyer_id text NOT NULL,
    seller_id text NOT NULL,
    terms jsonb NOT NULL,
    course jsonb NOT NULL,
    locked jsonb NOT NULL,
    carrier text,
    tracking_number text,
    label_paid_by text,
    last_scan_at timestamptz,
    end_reason text,
    moves integer DEFAULT 0 NOT NULL,
    CONSTRAINT pk_returns PRIMARY KEY (id),
    CONSTRAINT fk_returns_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_returns_sale_id FOREIGN KEY (sale_id) REFERENCES sales (id),
    CONSTRAINT fk_returns_buyer_id FOREIGN KEY (buyer_id) REFERENCES users (id),
    CONSTRAINT fk_returns_seller_id FOREIGN KEY (seller_id) REFERENCES users (id)
);
CREATE INDEX ix_returns_sale_id_id ON returns (sale_id, id);
CREATE UNIQUE INDEX uq_returns_parcel ON returns (carrier, tracking_number)
    WHERE tracking_number IS NOT NULL;
"""

# Sales that ended before these columns were kept: their timelines tell when.
KNOWN = """
UPDATE sales SET delivered_at = (
    SELECT min(at) FROM events
    WHERE path_id = sales.id AND kind IN ('delivered', 'handed_over', 'confirmed')
) WHERE delivered_at IS NULL;
UPDATE sales SET completed_at = (
    SELECT min(at) FROM events
    WHERE path_id = sales.id AND kind IN ('confirmed', 'confirmation_lapsed')
) WHERE completed_at IS NULL;
"""


def upgrade() -> None:
    for statements in (TABLES, KNOWN):
        op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
