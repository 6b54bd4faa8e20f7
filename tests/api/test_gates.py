"""What an account needs for each operation besides permission: no operation is forgotten, each refusal is told."""

from __future__ import annotations

import time
import uuid

import httpx
import pytest
from fastapi.routing import APIRoute

from api.gates import NEEDED, STEP_UP
from api.routes import ROUTERS
from domain.capabilities import Capability
from runtime.settings import Settings
from tests.api.client import Api, assert_problem, running_api
from tests.api.issuer import Issuer

_OPERATIONS = {
    route.operation_id: (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in (route.methods or set()) - {"GET", "HEAD"}
}
GOES_ON = """
    receiveCarrierWebhook receiveProviderWebhook tap
    updateMe uploadFile chooseNoticeSettings putTaxProfile verifyMe askForReview closeAccount
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
    grantRole revokeRole verifyUser unverifyUser freezeUser unfreezeUser limitUser allowUser reviewUser cancelClosing
    voidAward voidBid ruleOnObjection ruleMilestone approveCampaign sendCampaignBack banCampaign
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


MOVES_MONEY = """
    requestPayout putPayoutWish addPayoutDestination closeAccount releasePayout rejectPayout
    proposeCommand approveCommand executeCommand ruleDispute acceptChargeback giveGoodwill
"""
"""Out of somebody's balance, or as an operator: only with a fresh sign-in."""


def test_what_moves_money_out_needs_a_fresh_sign_in() -> None:
    assert set(MOVES_MONEY.split()) == STEP_UP
    assert set(_OPERATIONS) >= STEP_UP


@pytest.mark.parametrize("operation", sorted(STEP_UP))
async def test_an_old_sign_in_does_not_move_money(api: Api, operation: str) -> None:
    method, path = _OPERATIONS[operation]
    who = f"signed-in-{uuid.uuid4().hex[:8]}"
    now = int(time.time())

    async def asked(auth_time: object) -> httpx.Response:
        token = api.issuer.token(who, auth_time=auth_time)
        headers = {"Authorization": f"Bearer {token}"}
        address = path.replace("{", "").replace("}", "")
        return await api.call(method, address, headers=headers, json={})

    for old in (None, "now", True, now - 901, now + 3_600, 0, -1):
        refused = await asked(old)
        assert_problem(refused, 401, "step_up_needed")
        told = refused.headers["WWW-Authenticate"]
        assert 'error="insufficient_user_authentication"' in told
        assert 'max_age="900"' in told
    for young in (now, now - 800, now + 10):
        assert (await asked(young)).json().get("code") != "step_up_needed"


async def test_other_operations_take_an_old_sign_in(api: Api) -> None:
    token = api.issuer.token("somebody", auth_time=1)
    answer = await api.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


async def test_issuers_that_do_not_tell_can_be_used(api_settings: Settings, issuer: Issuer) -> None:
    settings = api_settings.model_copy(update={"step_up_seconds": 0})
    async with running_api(settings, issuer) as lenient:
        token = issuer.token("somebody", auth_time=None)
        answer = await lenient.call(
            "POST",
            "/v1/payout-destinations",
            headers={"Authorization": f"Bearer {token}"},
            json={"account": "6222020212345678", "holder": "S", "currency": "CNY"},
        )
        assert answer.status_code == 201, answer.text


async def test_the_document_tells_what_each_operation_needs(api: Api) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    for operation in NEEDED:
        method, path = _OPERATIONS[operation]
        responses = paths[path][method.lower()]["responses"]
        examples = responses["403"]["content"]["application/problem+json"]["examples"]
        assert "capability_limited" in examples, operation
    for operation in STEP_UP:
        method, path = _OPERATIONS[operation]
        responses = paths[path][method.lower()]["responses"]
        assert (
            "step_up_needed" in responses["401"]["content"]["application/problem+json"]["examples"]
        )
