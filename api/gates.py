"""What an account needs besides permission, by operation: one table, asked before anything of the request is done.

Operations that go on with what runs are in none of the tables. tests/api/test_gates.py knows all that are, and are not.
"""

from __future__ import annotations

from collections.abc import Collection

from fastapi import Request

from domain.capabilities import Capability
from domain.errors import CapabilityLimited

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


def pass_gate(request: Request, limited: Collection[Capability]) -> None:
    """Raises CapabilityLimited when the operation starts something that is taken away from the account."""
    needed = NEEDED.get(request.scope["route"].operation_id)
    if needed is not None and needed in limited:
        raise CapabilityLimited(
            f"{needed} is taken away from your account",
            field=needed,
            accepted="reading, and going on with what runs; ask for a look with POST /v1/me/review",
        )
