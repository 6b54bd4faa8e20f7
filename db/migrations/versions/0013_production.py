"""Production orders."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE production_orders (
    id text NOT NULL,
    requester_id text NOT NULL,
    certifier_id text,
    title text NOT NULL,
    terms jsonb NOT NULL,
    units bigint NOT NULL,
    open bigint NOT NULL,
    running bigint DEFAULT 0 NOT NULL,
    accepted bigint DEFAULT 0 NOT NULL,
    rejected bigint DEFAULT 0 NOT NULL,
    lost bigint DEFAULT 0 NOT NULL,
    lots bigint DEFAULT 0 NOT NULL,
    lots_running bigint DEFAULT 0 NOT NULL,
    samples_left bigint DEFAULT 0 NOT NULL,
    payment_id text,
    end_reason text,
    moves bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_production_orders PRIMARY KEY (id),
    CONSTRAINT ck_production_orders_units CHECK (open >= 0 AND running >= 0 AND accepted >= 0 AND rejected >= 0 AND lost >= 0 AND open + running + accepted + rejected + lost = units),
    CONSTRAINT ck_production_orders_counts CHECK (lots_running >= 0 AND samples_left >= 0),
    CONSTRAINT fk_production_orders_id FOREIGN KEY(id) REFERENCES paths (id),
    CONSTRAINT fk_production_orders_requester_id FOREIGN KEY(requester_id) REFERENCES users (id),
    CONSTRAINT fk_production_orders_certifier_id FOREIGN KEY(certifier_id) REFERENCES users (id),
    CONSTRAINT fk_production_orders_payment_id FOREIGN KEY(payment_id) REFERENCES payments (id)
);

CREATE INDEX ix_production_orders_requester_id ON production_orders (requester_id);

CREATE TABLE lots (
    id text NOT NULL,
    order_id text NOT NULL,
    maker_id text NOT NULL,
    broker_id text,
    units bigint NOT NULL,
    course jsonb NOT NULL,
    hand_in jsonb,
    sample_file_ids jsonb DEFAULT '[]' NOT NULL,
    kit_carrier text,
    kit_tracking text,
    goods_carrier text,
    goods_tracking text,
    sent_at timestamptz,
    covered boolean DEFAULT false NOT NULL,
    heard_at timestamptz DEFAULT now() NOT NULL,
    inspection_id text,
    ballot_id text,
    payment_id text,
    claimed_at timestamptz DEFAULT now() NOT NULL,
    end_reason text,
    moves bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_lots PRIMARY KEY (id),
    CONSTRAINT ck_lots_units_positive CHECK (units > 0),
    CONSTRAINT fk_lots_id FOREIGN KEY(id) REFERENCES paths (id),
    CONSTRAINT fk_lots_order_id FOREIGN KEY(order_id) REFERENCES production_orders (id),
    CONSTRAINT fk_lots_maker_id FOREIGN KEY(maker_id) REFERENCES users (id),
    CONSTRAINT fk_lots_broker_id FOREIGN KEY(broker_id) REFERENCES users (id),
    CONSTRAINT fk_lots_payment_id FOREIGN KEY(payment_id) REFERENCES payments (id)
);

CREATE INDEX ix_lots_broker_id_id ON lots (broker_id, id);

CREATE INDEX ix_lots_goods_tracking ON lots (goods_tracking) WHERE goods_tracking IS NOT NULL;

CREATE INDEX ix_lots_kit_tracking ON lots (kit_tracking) WHERE kit_tracking IS NOT NULL;

CREATE INDEX ix_lots_maker_id_id ON lots (maker_id, id);

CREATE INDEX ix_lots_order_id_id ON lots (order_id, id);

CREATE TABLE material_moves (
    id bigint GENERATED ALWAYS AS IDENTITY,
    lot_id text NOT NULL,
    key text NOT NULL,
    number smallint NOT NULL,
    material integer NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    pieces bigint NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_material_moves PRIMARY KEY (id),
    CONSTRAINT ck_material_moves_pieces_positive CHECK (pieces > 0),
    CONSTRAINT ck_material_moves_source CHECK (source IN ('goods', 'lost', 'maker', 'missing', 'on_the_way', 'rejected', 'returned', 'scrapped', 'store', 'used')),
    CONSTRAINT ck_material_moves_target CHECK (target IN ('goods', 'lost', 'maker', 'missing', 'on_the_way', 'rejected', 'returned', 'scrapped', 'store', 'used')),
    CONSTRAINT ck_material_moves_moves CHECK (source <> target),
    CONSTRAINT fk_material_moves_lot_id FOREIGN KEY(lot_id) REFERENCES lots (id)
);

CREATE UNIQUE INDEX uq_material_moves_key ON material_moves (lot_id, key, number);

CREATE TABLE inspections (
    id text NOT NULL,
    lot_id text NOT NULL,
    round integer NOT NULL,
    inspector_id text NOT NULL,
    units bigint NOT NULL,
    appeal boolean DEFAULT false NOT NULL,
    plan jsonb NOT NULL,
    seed text NOT NULL,
    drawn jsonb NOT NULL,
    opened_at timestamptz DEFAULT now() NOT NULL,
    due_at timestamptz NOT NULL,
    verdict jsonb,
    decided_at timestamptz,
    decision jsonb,
    note text DEFAULT '' NOT NULL,
    CONSTRAINT pk_inspections PRIMARY KEY (id),
    CONSTRAINT fk_inspections_lot_id FOREIGN KEY(lot_id) REFERENCES lots (id),
    CONSTRAINT fk_inspections_inspector_id FOREIGN KEY(inspector_id) REFERENCES users (id)
);

CREATE INDEX ix_inspections_lot_id_id ON inspections (lot_id, id);

CREATE TABLE inspection_findings (
    inspection_id text NOT NULL,
    unit integer NOT NULL,
    defects jsonb NOT NULL,
    note text DEFAULT '' NOT NULL,
    file_ids jsonb DEFAULT '[]' NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_inspection_findings PRIMARY KEY (inspection_id, unit),
    CONSTRAINT fk_inspection_findings_inspection_id FOREIGN KEY(inspection_id) REFERENCES inspections (id)
);

CREATE TABLE inspection_series (
    maker_id text NOT NULL,
    requester_id text NOT NULL,
    state jsonb NOT NULL,
    lots bigint DEFAULT 0 NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_inspection_series PRIMARY KEY (maker_id, requester_id),
    CONSTRAINT fk_inspection_series_maker_id FOREIGN KEY(maker_id) REFERENCES users (id),
    CONSTRAINT fk_inspection_series_requester_id FOREIGN KEY(requester_id) REFERENCES users (id)
);

CREATE INDEX ix_inspection_series_requester_id_maker_id ON inspection_series (requester_id, maker_id);

CREATE TABLE juries (
    ballot_id text NOT NULL,
    lot_id text NOT NULL,
    seed text NOT NULL,
    candidates jsonb NOT NULL,
    jurors jsonb NOT NULL,
    drawn_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_juries PRIMARY KEY (ballot_id),
    CONSTRAINT fk_juries_ballot_id FOREIGN KEY(ballot_id) REFERENCES ballots (id),
    CONSTRAINT fk_juries_lot_id FOREIGN KEY(lot_id) REFERENCES lots (id)
);

CREATE INDEX ix_juries_lot_id ON juries (lot_id);

CREATE TABLE broker_consents (
    id text NOT NULL,
    broker_id text NOT NULL,
    worker_id text NOT NULL,
    given_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_broker_consents PRIMARY KEY (id),
    CONSTRAINT ck_broker_consents_two_people CHECK (broker_id <> worker_id),
    CONSTRAINT fk_broker_consents_broker_id FOREIGN KEY(broker_id) REFERENCES users (id),
    CONSTRAINT fk_broker_consents_worker_id FOREIGN KEY(worker_id) REFERENCES users (id)
);

CREATE INDEX ix_broker_consents_worker_id_id ON broker_consents (worker_id, id);

CREATE UNIQUE INDEX uq_broker_consents_standing ON broker_consents (broker_id, worker_id) WHERE ended_at IS NULL;

CREATE TABLE notices (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    user_id text NOT NULL,
    path_id text NOT NULL,
    language text NOT NULL,
    words text NOT NULL,
    taps jsonb DEFAULT '[]' NOT NULL,
    state text DEFAULT 'waiting' NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    due_at timestamptz DEFAULT now() NOT NULL,
    sent_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_notices PRIMARY KEY (id),
    CONSTRAINT ck_notices_state CHECK (state IN ('given_up', 'sent', 'waiting')),
    CONSTRAINT uq_notices_key UNIQUE (key),
    CONSTRAINT fk_notices_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_notices_path_id FOREIGN KEY(path_id) REFERENCES paths (id)
);

CREATE INDEX ix_notices_user_id_id ON notices (user_id, id);

CREATE INDEX ix_notices_waiting ON notices (due_at) WHERE state = 'waiting';

CREATE TABLE notice_wishes (
    user_id text NOT NULL,
    language text NOT NULL,
    time_zone text,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_notice_wishes PRIMARY KEY (user_id),
    CONSTRAINT ck_notice_wishes_language CHECK (language IN ('en', 'zh')),
    CONSTRAINT fk_notice_wishes_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
"""

FROZEN = """
CREATE FUNCTION inspection_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END $$;

CREATE TRIGGER inspections_plan_frozen BEFORE UPDATE ON inspections FOR EACH ROW
    WHEN (OLD.decided_at IS NOT NULL
        OR (OLD.id, OLD.lot_id, OLD.round, OLD.inspector_id, OLD.units, OLD.appeal, OLD.plan, OLD.seed,
            OLD.drawn, OLD.opened_at, OLD.due_at)
        IS DISTINCT FROM
           (NEW.id, NEW.lot_id, NEW.round, NEW.inspector_id, NEW.units, NEW.appeal, NEW.plan, NEW.seed,
            NEW.drawn, NEW.opened_at, NEW.due_at))
    EXECUTE FUNCTION inspection_refuse_change(
        'a plan is drawn up once, before any unit is looked at; a decision is made once');
CREATE TRIGGER inspections_kept BEFORE DELETE ON inspections FOR EACH ROW
    EXECUTE FUNCTION inspection_refuse_change('an inspection is kept; a new look is a new inspection');
CREATE TRIGGER inspection_findings_kept BEFORE UPDATE OR DELETE ON inspection_findings FOR EACH ROW
    EXECUTE FUNCTION inspection_refuse_change('a drawn unit is looked at once');
CREATE TRIGGER juries_kept BEFORE UPDATE OR DELETE ON juries FOR EACH ROW
    EXECUTE FUNCTION inspection_refuse_change('a jury is drawn once');
"""
"""What holds for whoever writes SQL: nobody can draw another sample, or find something else, once one was drawn."""


def upgrade() -> None:
    for statements in (TABLES, FROZEN):
        op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
