"""The tables of the sandbox's file, as the steps that made them: one step a version, never changed afterwards.

A new file runs all steps, an older one those it has not seen; so both end with the same tables.
"""

from __future__ import annotations

_FIRST = """
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'captured', 'canceled')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    description TEXT NOT NULL, return_url TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0, decline_reason TEXT, created_at TEXT NOT NULL
) STRICT;
CREATE TABLE refunds (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, payment_reference TEXT NOT NULL REFERENCES payments (reference),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'refused')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    failure_reason TEXT, created_at TEXT NOT NULL
) STRICT;
CREATE INDEX refunds_of_payment ON refunds (payment_reference);
CREATE TABLE payouts (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('in_transit', 'paid', 'failed', 'returned')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    destination TEXT NOT NULL, holder TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    failure_reason TEXT, created_at TEXT NOT NULL,
    plan TEXT NOT NULL, plan_reason TEXT, return_seconds REAL NOT NULL DEFAULT 0, due_at TEXT
) STRICT;
CREATE INDEX payouts_due ON payouts (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE disputes (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE,
    payment_reference TEXT NOT NULL REFERENCES payments (reference),
    operation_id TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'won', 'lost')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, fee INTEGER NOT NULL,
    reason TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
CREATE INDEX disputes_of_payment ON disputes (payment_reference);
CREATE TABLE movements (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, booked_at TEXT NOT NULL, day TEXT NOT NULL
) STRICT;
CREATE INDEX movements_by_day ON movements (day, currency, amount);
CREATE TABLE balances (currency TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT;
CREATE TABLE idempotency_keys (
    operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    reference TEXT NOT NULL, PRIMARY KEY (operation, key)
) STRICT;
CREATE TABLE behaviours (
    id INTEGER PRIMARY KEY, operation TEXT NOT NULL, effect TEXT NOT NULL,
    times_left INTEGER NOT NULL, subject TEXT, event TEXT, seconds REAL NOT NULL, reason TEXT
) STRICT;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, channel TEXT NOT NULL,
    event_type TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'held', 'delivered', 'dropped', 'given_up')),
    attempts INTEGER NOT NULL DEFAULT 0, due_at TEXT, after_id INTEGER,
    last_status INTEGER, last_error TEXT, created_at TEXT NOT NULL, delivered_at TEXT
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state IN ('pending', 'held');
CREATE TABLE parcels (
    tracking_number TEXT PRIMARY KEY, label_paid_by TEXT NOT NULL, kind TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE TABLE endpoints (channel TEXT PRIMARY KEY, url TEXT NOT NULL) STRICT;
"""

_CARDS = """
CREATE TABLE cards (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'saved', 'canceled')),
    currency TEXT NOT NULL, description TEXT NOT NULL, return_url TEXT NOT NULL,
    decline_reason TEXT, created_at TEXT NOT NULL
) STRICT;
ALTER TABLE payments ADD COLUMN card_reference TEXT REFERENCES cards (reference);
ALTER TABLE behaviours ADD COLUMN percent INTEGER NOT NULL DEFAULT 100;
CREATE INDEX behaviours_for ON behaviours (operation, effect, subject);
CREATE INDEX deliveries_held ON deliveries (channel) WHERE state = 'held';
CREATE INDEX deliveries_of_subject ON deliveries (subject);
CREATE TABLE day_totals (
    day TEXT NOT NULL, currency TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (day, currency)
) STRICT, WITHOUT ROWID;
INSERT INTO day_totals (day, currency, amount)
    SELECT day, currency, SUM(amount) FROM movements GROUP BY day, currency;
DROP INDEX movements_by_day;
CREATE INDEX movements_of_day ON movements (day);
"""
"""Saved cards and their charges; a share of events; and what a hundred thousand payments need to stay quick."""

_EVIDENCE = """
CREATE TABLE disputes_with_evidence (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE,
    payment_reference TEXT NOT NULL REFERENCES payments (reference),
    operation_id TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'under_review', 'won', 'lost')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, fee INTEGER NOT NULL,
    reason TEXT NOT NULL, created_at TEXT NOT NULL, due_by TEXT NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO disputes_with_evidence
    SELECT id, reference, payment_reference, operation_id, subject, status, amount, currency, fee,
        reason, created_at, strftime('%Y-%m-%dT%H:%M:%f', created_at, '+10 days') || '000+00:00', 0
    FROM disputes;
DROP TABLE disputes;
ALTER TABLE disputes_with_evidence RENAME TO disputes;
CREATE INDEX disputes_of_payment ON disputes (payment_reference);
CREATE TABLE dispute_evidence (
    dispute_reference TEXT PRIMARY KEY REFERENCES disputes (reference),
    operation_id TEXT NOT NULL, body TEXT NOT NULL, received_at TEXT NOT NULL
) STRICT;
"""
"""Evidence in disputes, and a last moment for it."""

_CONFIRMED_PAYOUTS = """
CREATE TABLE confirmed_payouts (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, status TEXT NOT NULL
        CHECK (status IN ('awaiting_payee', 'in_transit', 'paid', 'failed', 'returned')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    destination TEXT NOT NULL, holder TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    failure_reason TEXT, created_at TEXT NOT NULL,
    plan TEXT NOT NULL, plan_reason TEXT, return_seconds REAL NOT NULL DEFAULT 0, due_at TEXT
) STRICT;
INSERT INTO confirmed_payouts SELECT * FROM payouts;
DROP TABLE payouts;
ALTER TABLE confirmed_payouts RENAME TO payouts;
CREATE INDEX payouts_due ON payouts (due_at) WHERE due_at IS NOT NULL;
"""
"""Payouts that wait for their payee: SQLite changes no CHECK of a table that is there."""

_HOLDS = """
ALTER TABLE payments ADD COLUMN hold_until TEXT;
"""
"""Until when captured money may stay, once that was extended."""

_PAYEES = """
CREATE TABLE payees (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, status TEXT NOT NULL
        CHECK (status IN ('pending', 'active', 'restricted', 'rejected')),
    requirements TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
"""

STEPS = (_FIRST, _CARDS, _EVIDENCE, _CONFIRMED_PAYOUTS, _HOLDS, _PAYEES)
"""Step N brings a file from version N to version N + 1."""
