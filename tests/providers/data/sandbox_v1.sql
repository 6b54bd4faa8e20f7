BEGIN TRANSACTION;
CREATE TABLE balances (currency TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT;
INSERT INTO "balances" VALUES('CNY',3940);
CREATE TABLE behaviours (
    id INTEGER PRIMARY KEY, operation TEXT NOT NULL, effect TEXT NOT NULL,
    times_left INTEGER NOT NULL, subject TEXT, event TEXT, seconds REAL NOT NULL, reason TEXT
) STRICT;
INSERT INTO "behaviours" VALUES(1,'payment','decline',2,NULL,NULL,0.0,'insufficient_funds');
INSERT INTO "behaviours" VALUES(2,'webhook','drop',1,'pay_open','payment.declined',0.0,NULL);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, channel TEXT NOT NULL,
    event_type TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'held', 'delivered', 'dropped', 'given_up')),
    attempts INTEGER NOT NULL DEFAULT 0, due_at TEXT, after_id INTEGER,
    last_status INTEGER, last_error TEXT, created_at TEXT NOT NULL, delivered_at TEXT
) STRICT;
INSERT INTO "deliveries" VALUES(1,'evt_ab540ec762bcfa39c00f1deb','payments','payment.captured','pay_captured','{"type": "payment.captured", "timestamp": "2026-02-28T23:59:50.000000+00:00", "data": {"subject": "pay_captured", "reference": "spay_81bbff97401faa1d1418e2ff", "operation_id": "payment-pay_captured/create", "status": "captured"}}','delivered',1,NULL,NULL,204,NULL,'2026-02-28T23:59:50.000000+00:00','2026-03-01T00:00:10.000000+00:00');
INSERT INTO "deliveries" VALUES(2,'evt_9548f20a4714f1abf9d35aee','payments','payment.declined','pay_open','{"type": "payment.declined", "timestamp": "2026-03-01T00:00:10.000000+00:00", "data": {"subject": "pay_open", "reference": "spay_edb43c71c5425a9260da5274", "operation_id": "payment-pay_open/create", "status": "open"}}','delivered',1,NULL,NULL,204,NULL,'2026-03-01T00:00:10.000000+00:00','2026-03-01T00:00:10.000000+00:00');
INSERT INTO "deliveries" VALUES(3,'evt_ccde03ffda9f98000fb1e10e','payments','refund.succeeded','ref_1','{"type": "refund.succeeded", "timestamp": "2026-03-01T00:00:10.000000+00:00", "data": {"subject": "ref_1", "reference": "sref_4efe805594e1eae0eb9d7767", "operation_id": "refund-ref_1/create", "status": "succeeded"}}','pending',0,'2026-03-01T00:00:10.000000+00:00',NULL,NULL,NULL,'2026-03-01T00:00:10.000000+00:00',NULL);
INSERT INTO "deliveries" VALUES(4,'evt_89bb88dcf912e2bae2be98ce','payments','dispute.opened','pay_captured','{"type": "dispute.opened", "timestamp": "2026-03-01T00:00:10.000000+00:00", "data": {"subject": "pay_captured", "reference": "sdsp_3d4c45d28aa9834e14d1ab27", "operation_id": "payment-pay_captured/create", "status": "open"}}','pending',0,'2026-03-01T00:00:10.000000+00:00',NULL,NULL,NULL,'2026-03-01T00:00:10.000000+00:00',NULL);
INSERT INTO "deliveries" VALUES(5,'evt_3c2c1f0584f82235228eaf42','carrier','parcel.registered','SF-1','{"type": "parcel.registered", "timestamp": "2026-03-01T00:00:10.000000+00:00", "data": {"tracking_number": "SF-1", "kind": "registered", "label_paid_by": "seller", "occurred_at": "2026-03-01T00:00:10.000000+00:00"}}','pending',0,'2026-03-01T00:00:10.000000+00:00',NULL,NULL,NULL,'2026-03-01T00:00:10.000000+00:00',NULL);
CREATE TABLE disputes (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE,
    payment_reference TEXT NOT NULL REFERENCES payments (reference),
    operation_id TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'won', 'lost')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, fee INTEGER NOT NULL,
    reason TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
INSERT INTO "disputes" VALUES(1,'sdsp_3d4c45d28aa9834e14d1ab27','spay_81bbff97401faa1d1418e2ff','payment-pay_captured/create','pay_captured','open',1000,'CNY',1500,'fraudulent','2026-03-01T00:00:10.000000+00:00');
CREATE TABLE endpoints (channel TEXT PRIMARY KEY, url TEXT NOT NULL) STRICT;
CREATE TABLE idempotency_keys (
    operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    reference TEXT NOT NULL, PRIMARY KEY (operation, key)
) STRICT;
INSERT INTO "idempotency_keys" VALUES('payments','payment-pay_captured/create','1fb38a1eb2172ea6d2d50761a28887d5d14a35c16129cd23928e952776a2a452','spay_81bbff97401faa1d1418e2ff');
INSERT INTO "idempotency_keys" VALUES('payments','payment-pay_open/create','097f370ede74bf0e93b97d3f31bdc685c94acff41e752f99bc05d39f1f5404e6','spay_edb43c71c5425a9260da5274');
INSERT INTO "idempotency_keys" VALUES('refunds','refund-ref_1/create','5ea408f9ab8a792f0ebf9c96db85a35b2ffb5dc8f7ddbab0dfe20db374196327','sref_4efe805594e1eae0eb9d7767');
INSERT INTO "idempotency_keys" VALUES('payouts','payout-pyo_1/create','ca6e8866ba8fe355e66fbc95371e74a038b7471df7274b165337e82ed61bfe44','spyo_1fec6776011683cbd9bd761f');
CREATE TABLE movements (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, booked_at TEXT NOT NULL, day TEXT NOT NULL
) STRICT;
INSERT INTO "movements" VALUES(1,'spay_81bbff97401faa1d1418e2ff','payment','pay_captured',10000,'CNY','2026-02-28T23:59:50.000000+00:00','2026-02-28');
INSERT INTO "movements" VALUES(2,'spay_81bbff97401faa1d1418e2ff','fee','pay_captured',-60,'CNY','2026-02-28T23:59:50.000000+00:00','2026-02-28');
INSERT INTO "movements" VALUES(3,'sref_4efe805594e1eae0eb9d7767','refund','ref_1',-1500,'CNY','2026-03-01T00:00:10.000000+00:00','2026-03-01');
INSERT INTO "movements" VALUES(4,'spyo_1fec6776011683cbd9bd761f','payout','pyo_1',-2000,'CNY','2026-03-01T00:00:10.000000+00:00','2026-03-01');
INSERT INTO "movements" VALUES(5,'sdsp_3d4c45d28aa9834e14d1ab27','dispute','pay_captured',-1000,'CNY','2026-03-01T00:00:10.000000+00:00','2026-03-01');
INSERT INTO "movements" VALUES(6,'sdsp_3d4c45d28aa9834e14d1ab27','dispute_fee','pay_captured',-1500,'CNY','2026-03-01T00:00:10.000000+00:00','2026-03-01');
CREATE TABLE parcels (
    tracking_number TEXT PRIMARY KEY, label_paid_by TEXT NOT NULL, kind TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
INSERT INTO "parcels" VALUES('SF-1','seller','registered','2026-03-01T00:00:10.000000+00:00');
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'captured', 'canceled')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    description TEXT NOT NULL, return_url TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0, decline_reason TEXT, created_at TEXT NOT NULL
) STRICT;
INSERT INTO "payments" VALUES(1,'spay_81bbff97401faa1d1418e2ff','payment-pay_captured/create','pay_captured','captured',10000,'CNY','手工灯笼 Handmade lamp','http://127.0.0.1/orders/1',60,1,NULL,'2026-02-28T23:59:50.000000+00:00');
INSERT INTO "payments" VALUES(2,'spay_edb43c71c5425a9260da5274','payment-pay_open/create','pay_open','open',5000,'CNY','手工灯笼 Handmade lamp','http://127.0.0.1/orders/1',0,0,'card_declined','2026-03-01T00:00:10.000000+00:00');
CREATE TABLE payouts (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('in_transit', 'paid', 'failed', 'returned')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    destination TEXT NOT NULL, holder TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    failure_reason TEXT, created_at TEXT NOT NULL,
    plan TEXT NOT NULL, plan_reason TEXT, return_seconds REAL NOT NULL DEFAULT 0, due_at TEXT
) STRICT;
INSERT INTO "payouts" VALUES(1,'spyo_1fec6776011683cbd9bd761f','payout-pyo_1/create','pyo_1','in_transit',2000,'CNY','6222020200112233','王秀英',0,NULL,'2026-03-01T00:00:10.000000+00:00','pay',NULL,0.0,'2026-03-01T00:00:11.000000+00:00');
CREATE TABLE refunds (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, payment_reference TEXT NOT NULL REFERENCES payments (reference),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'refused')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    failure_reason TEXT, created_at TEXT NOT NULL
) STRICT;
INSERT INTO "refunds" VALUES(1,'sref_4efe805594e1eae0eb9d7767','refund-ref_1/create','ref_1','spay_81bbff97401faa1d1418e2ff','succeeded',1500,'CNY',NULL,'2026-03-01T00:00:10.000000+00:00');
CREATE INDEX refunds_of_payment ON refunds (payment_reference);
CREATE INDEX payouts_due ON payouts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX disputes_of_payment ON disputes (payment_reference);
CREATE INDEX movements_by_day ON movements (day, currency, amount);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state IN ('pending', 'held');
COMMIT;
PRAGMA user_version = 1;
