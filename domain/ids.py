"""Typed, sortable ids: a prefix that names the thing, and a UUIDv7 in base32 (TypeID)."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints
from typeid import TypeID

_SUFFIX = "_[0-7][0-9a-hjkmnp-tv-z]{25}$"


def _pattern(prefix: str) -> StringConstraints:
    return StringConstraints(pattern=f"^{prefix}{_SUFFIX}")


UserId = Annotated[str, _pattern("usr")]
FileId = Annotated[str, _pattern("fil")]
ListingId = Annotated[str, _pattern("lst")]
SaleId = Annotated[str, _pattern("sal")]
PaymentId = Annotated[str, _pattern("pay")]
RefundId = Annotated[str, _pattern("ref")]
PayoutId = Annotated[str, _pattern("pyo")]
DestinationId = Annotated[str, _pattern("dst")]
ContestId = Annotated[str, _pattern("con")]
EntryId = Annotated[str, _pattern("ent")]
ObjectionId = Annotated[str, _pattern("obj")]
TenderId = Annotated[str, _pattern("ten")]
BidId = Annotated[str, _pattern("bid")]
BallotId = Annotated[str, _pattern("bal")]
ChargebackId = Annotated[str, _pattern("cbk")]
CampaignId = Annotated[str, _pattern("cmp")]
PledgeId = Annotated[str, _pattern("plg")]
CardId = Annotated[str, _pattern("crd")]
MatchCallId = Annotated[str, _pattern("mtc")]
SpendingId = Annotated[str, _pattern("spd")]
InKindId = Annotated[str, _pattern("ink")]
AskId = Annotated[str, _pattern("ask")]
ProductionId = Annotated[str, _pattern("prd")]
LotId = Annotated[str, _pattern("lot")]
InspectionId = Annotated[str, _pattern("ins")]
ConsentId = Annotated[str, _pattern("cns")]
OrderId = Annotated[str, _pattern("ord")]
ReturnId = Annotated[str, _pattern("rtn")]
DisputeId = Annotated[str, _pattern("dsp")]
MessageId = Annotated[str, _pattern("msg")]
DifferenceId = Annotated[str, _pattern("dif")]
CaseId = Annotated[str, _pattern("cas")]
CommandId = Annotated[str, _pattern("cmd")]
PayeeId = Annotated[str, _pattern("pye")]
PathId = Annotated[
    str, StringConstraints(pattern=f"^(sal|ord|rtn|dsp|con|ten|bal|cmp|mtc|ink|prd|lot){_SUFFIX}")
]
"""Id of any path: the prefix tells which kind of path it is."""


def new_id(prefix: str) -> str:
    """A fresh id such as `sal_01h45ytscbebyvny4gc8cr8ma2`; ids made later sort later.

    Not for workflow code: it reads the clock and the random source.
    """
    return str(TypeID(prefix=prefix))


def step_key(workflow_id: str, step: str) -> str:
    """The idempotency key of one step of one workflow, carried to ledger and provider."""
    return f"{workflow_id}/{step}"


def step_workflow(key: str) -> str:
    """The workflow to whose step a key belongs."""
    return key.partition("/")[0]


def revived_workflow_id(workflow_id: str) -> str:
    """Id of the story that goes on when late money brings a path back: once, whatever is repeated."""
    return f"{workflow_id}-revived"


def reopened_workflow_id(workflow_id: str, number: int) -> str:
    """Id of the story that goes on when operators open a path again that had ended."""
    return f"{workflow_id}-reopened-{number}"
