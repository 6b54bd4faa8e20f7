"""What an account needs besides permission, by operation: one table, asked before anything of the request is done.

Operations that go on with what runs are in none of the tables. tests/api/test_gates.py knows all that are, and are not.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from fastapi import Request

from domain.capabilities import Capability
from domain.errors import CapabilityLimited, StepUpNeeded

STARTS: dict[Capability, frozenset[str]] = {
    Capability.BID: frozenset(
        {
            "bid",
            "reviseBid",
            "acceptAward",
            "enterContest",
            "reviseEntry",
            "claimLot",
            "giveConsent",
            "askForInKind",
        }
    ),
    Capability.PLEDGE: frozenset(
        {
            "pledge",
            "changePledge",
            "placeSale",
            "placeOrder",
            "draftContest",
            "changeContestDraft",
            "fundContest",
            "extendContest",
            "draftTender",
            "changeTender",
            "fundTender",
            "awardTender",
            "draftMatchCall",
            "changeMatchCall",
            "fundMatchCall",
            "topUpMatchCall",
            "draftProductionOrder",
            "changeProductionOrder",
            "fundProductionOrder",
        }
    ),
    Capability.SELL: frozenset(
        {
            "createListing",
            "updateListing",
            "draftCampaign",
            "changeCampaign",
            "submitCampaign",
            "addCampaignItem",
            "changeCampaignItem",
            "applyToMatchCall",
            "draftInKind",
            "changeInKind",
            "publishInKind",
        }
    ),
    Capability.WITHDRAW: frozenset({"requestPayout"}),
}
"""By capability: the operations that start something of its kind."""
NEEDED = {operation: capability for capability, found in STARTS.items() for operation in found}
STEP_UP = frozenset(
    {
        "requestPayout",
        "putPayoutWish",
        "addPayoutDestination",
        "closeAccount",
        "releasePayout",
        "rejectPayout",
        "proposeCommand",
        "approveCommand",
        "executeCommand",
        "ruleDispute",
        "acceptChargeback",
        "giveGoodwill",
    }
)
"""What moves somebody's own money out, changes where it goes, or lets operators move money of others: for this a stolen
token is not enough, the person must have signed in a short while ago."""
_CLOCKS_APART = 30
"""Seconds by which the issuer's clock may be ahead."""


def pass_gate(
    request: Request,
    limited: Collection[Capability],
    signed_in_at: int | None,
    *,
    step_up_seconds: int,
) -> None:
    """Raises CapabilityLimited when the operation starts something that is taken away from the account.

    Raises StepUpNeeded when it needs a fresh sign-in and the last one is older than `step_up_seconds` (0: never).
    """
    operation = request.scope["route"].operation_id
    if step_up_seconds and operation in STEP_UP:
        age = None if signed_in_at is None else time.time() - signed_in_at
        if age is None or not -_CLOCKS_APART <= age <= step_up_seconds:
            raise StepUpNeeded(
                "this needs a sign-in of the last minutes; get a new token by signing in again",
                field="auth_time",
                accepted=f'max_age="{step_up_seconds}"',
            )
    needed = NEEDED.get(operation)
    if needed is not None and needed in limited:
        raise CapabilityLimited(
            f"{needed} is taken away from your account",
            field=needed,
            accepted="reading, and going on with what runs; ask for a look with POST /v1/me/review",
        )
