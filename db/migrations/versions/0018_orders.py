"""Orders: one payment for the sales of several sellers."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE orders (
    id text NOT NULL,
    buyer_id text NOT NULL,
    total bigint NOT NULL,
    terms jsonb NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT ck_orders_total_positive CHECK (total > 0),
    CONSTRAINT fk_orders_id FOREIGN KEY (id) REFERENCES paths (id),
    CONSTRAINT fk_orders_buyer_id FOREIGN KEY (buyer_id) REFERENCES users (id)
);
CREATE INDEX ix_orders_buyer_id_id ON orders (buyer_id, id);

CREATE TABLE payment_parts (
    payment_id text NOT NULL,
    path_id text NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT pk_payment_parts PRIMARY KEY (payment_id, path_id),
    CONSTRAINT ck_payment_parts_amount_positive CHECK (amount > 0),
    CONSTRAINT fk_payment_parts_payment_id FOREIGN KEY (payment_id) REFERENCES payments (id),
    CONSTRAINT fk_payment_parts_path_id FOREIGN KEY (path_id) REFERENCES paths (id)
);
CREATE INDEX ix_payment_parts_path_id ON payment_parts (path_id);

ALTER TABLE sales ADD COLUMN order_id text,
    ADD CONSTRAINT fk_sales_order_id FOREIGN KEY (order_id) REFERENCES orders (id);
CREATE INDEX ix_sales_order_id ON sales (order_id) WHERE order_id IS NOT NULL;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES, execution_options={"no_parameters": True})
