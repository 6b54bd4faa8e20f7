"""What an account needs for each operation besides permission: no operation is forgotten, each refusal is told."""

from __future__ import annotations

import uuid

import pytest
from fastapi.routing import APIRoute

from api.gates import NEEDED
from api.routes import ROUTERS
from domain.capabilities import Capability
from tests.api.client import Api, assert_problem

_OPERATIONS = {
    route.operation_id: (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in (route.methods or set()) - {"GET", "HEAD"}
}
GOES_ON = """
    receiveCarrierWebhook receiveProviderWebhook tap
    updateMe uploadFile chooseNoticeSettings putTaxProfile askForReview
    acceptSale declineSale confirmSale cancelSale shipSale cancelOrder
    cancelContest pickFinalists announceWinners takeBountyBack withdrawEntry shortlistEntries eliminateEntries
    handOver requestRevision acceptHandOver objectToEntry
    cancelTender withdrawBid scoreSample makeOffer acceptOffer declineOffer declineAward retractAcceptance
    submitMilestone approveMilestone requestChanges cancelMilestone disputeMilestone
    withdrawCampaign cancelCampaign reportTranche lockRewards shipRewards askRefundVote writeUpdate
    closeMatchCall cancelMatchCall acceptMatchProject declineMatchProject askForMatchSpending
    approveMatchSpending refuseMatchSpending
    withdrawInKind withdrawInKindAsk pickInKindAsk handOverInKind confirmInKind objectInKind callOffInKind
    extendLoan sendBackLoan confirmReturn writeOffLoan claimDeposit answerClaim
    cancelProductionOrder stopProductionOrder reportFindings lookAtAllUnits decideInspection
    nameSecondInspector resumeInspectionSeries sendSample approveSample refuseSample withdrawFromLot
    sendKit receiveKit contestKit admitContest reportOnLot extendLot sendGoods receiveGoods denyGoods
    appealAgainstInspection acceptDecision endConsent
    cancelPledge mendPledge retryPledge answerSurvey setRewardAddress unlockReward confirmReward
    reportRewardMissing
    createBallot updateBallot openBallot cancelBallot castVote recountBallot
    acceptRefundAsBalance cancelPayout putPayoutWish addPayoutDestination writeMessage
    openReturn agreeToReturn refundReturn refuseReturn acceptReturn shipReturn offerPartOfPrice takeReturnOffer
    rejectReturnOffer sendOtherGoods confirmExchange withdrawReturn giveGoodwill
    openDispute answerDispute concedeDispute offerInDispute takeOfferInDispute rejectOfferInDispute
    askForRuling appealRuling withdrawDispute showEvidence handInEvidence
"""
"""Starts nothing that a capability stands for, or goes on with what runs."""
OPERATORS = """
    grantRole revokeRole verifyUser unverifyUser freezeUser unfreezeUser limitUser allowUser reviewUser
    voidAward ruleOnObjection ruleMilestone approveCampaign sendCampaignBack banCampaign
    approveTranche refuseTranche ruleInKind ruleOnKit ruleOnAppeal callLotOff voidVotes
    releasePayout rejectPayout assignCase noteOnCase closeCase retryCase
    ruleDispute explainDifference acceptChargeback submitEvidence clearPayer
    proposeCommand approveCommand rejectCommand rehearseCommand executeCommand
"""
"""What operators do as such is no act of their account."""


def test_every_operation_has_been_thought_about() -> None:
    free = {*GOES_ON.split(), *OPERATORS.split()}
    assert not free & set(NEEDED)
    assert free | set(NEEDED) == set(_OPERATIONS)


@pytest.mark.parametrize("operation", sorted(NEEDED))
async def test_without_the_capability_the_operation_is_refused(api: Api, operation: str) -> None:
    method, path = _OPERATIONS[operation]
    limited = f"limited-{uuid.uuid4().hex[:8]}"
    needed = NEEDED[operation]
    _limit(api, await api.user_id(limited), needed)
    assert (await api.get("/v1/me", by=limited)).json()["lacks"] == [needed]
    address = path.replace("{number}", "1").replace("{", "").replace("}", "")
    answer = await api.call(method, address, by=limited, json={})
    assert assert_problem(answer, 403, "capability_limited")["field"] == needed
    # The other capabilities do not matter to it.
    others = f"limited-{uuid.uuid4().hex[:8]}"
    _limit(api, await api.user_id(others), *(each for each in Capability if each != needed))
    answer = await api.call(method, address, by=others, json={})
    assert answer.json().get("code") != "capability_limited"


def _limit(api: Api, user_id: str, *capabilities: Capability) -> None:
    query = "UPDATE users SET limited = %s WHERE id = %s"
    api.execute(query, [each.value for each in capabilities], user_id)


async def test_the_document_tells_what_each_operation_needs(api: Api) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    for operation in NEEDED:
        method, path = _OPERATIONS[operation]
        responses = paths[path][method.lower()]["responses"]
        examples = responses["403"]["content"]["application/problem+json"]["examples"]
        assert "capability_limited" in examples, operation
