"""The one registry of search attributes. Registered at deploy, in local start and in tests."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

PATH = SearchAttributeKey.for_keyword("Path")
PHASE = SearchAttributeKey.for_keyword("Phase")
INITIATOR = SearchAttributeKey.for_keyword("Initiator")
CURRENCY = SearchAttributeKey.for_keyword("Currency")
DEADLINE = SearchAttributeKey.for_datetime("Deadline")
NEEDS_OPERATOR = SearchAttributeKey.for_bool("NeedsOperator")

ALL = (PATH, PHASE, INITIATOR, CURRENCY, DEADLINE, NEEDS_OPERATOR)
