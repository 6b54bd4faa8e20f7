"""Which branches the recorded histories hold: an event that a path's story asks for needs one, or a line here."""

from __future__ import annotations

import pytest

from tests.replay.coverage import MACHINES, all_events, recorded_events

BY_MONEY = {
    "sale": "payment_captured payment_expired late_payment_accepted late_payment_returned refunded",
    "order": "payment_captured payment_expired late_payment_accepted late_payment_returned",
    "contest": "funded extended not_funded bounty_lost",
    "tender": "deposit_paid deposit_unpaid milestone_paid milestone_unpaid charged_back",
    "match_call": "budget_paid budget_unpaid topped_up top_up_unpaid charged_back",
    "in_kind": "deposit_paid deposit_unpaid charged_back",
    "production": "funded unpaid charged_back",
    "lot": "deposit_paid deposit_unpaid deposit_lost",
}
"""What payments, refunds and banks bring about in transactions of their own: no story of a path asks for it."""

NOTED = {"sale": "accepted shipped handed_over delivered"}
"""Moves no money and is noted by a local activity, of which a history keeps nothing but the result."""

NOT_RECORDED = {
    "order": "cancelled",
    "contest": "cancelled entry_voided final_round_closed finalists_picked not_decided nudged objected objection_dismissed objection_lapsed picking_lapsed recounted taken_back",
    "tender": "cancelled hard_stop milestone_cancelled ruling_lapsed",
    "ballot": "cancelled retallied votes_voided withdrawn",
    "campaign": "banned delivery_late funds_settled late_pledges_paid launched long_stop mending_lapsed not_decided reserve_due review_overdue rewards_locked rewards_shipped tranche_lapsed tranche_refused update_due vote_asked voted withdrawn",
    "match_call": "cancelled closed resumed",
    "in_kind": "cancelled claim_agreed claim_lapsed confirmation_lapsed confirmed hand_over_lapsed objected offer_lapsed overdue_lapsed return_confirmed return_lapsed ruling_lapsed withdrawn written_off",
    "production": "cancelled claims_over claims_stopped looked",
    "lot": "appeal_over appeal_waived called_off contest_admitted contest_lapsed extended goods_denied goods_lost inspection_lapsed kit_contested kit_lost kit_ruled rework_lapsed ruling_lapsed sample_approved sample_lapsed sample_refused sample_sent sample_silence",
    "return": "exchange_confirm_lapsed exchange_not_sent inspection_lapsed kept_and_refunded offer_rejected offer_taken refusal_lapsed return_disputed return_lost",
    "dispute": "answer_lapsed appeal_lapsed appeal_ruled dispute_withdrawn offer_rejected offer_taken mediation_lapsed ruling_lapsed",
}
"""Asked for by the same lines of a story as what is recorded: silence by `bring_about`, people by `act`."""


def test_the_tables_name_events_that_there_are() -> None:
    events = all_events()
    for table in (BY_MONEY, NOTED, NOT_RECORDED):
        for kind, names in table.items():
            assert set(names.split()) <= events[kind], kind


@pytest.mark.parametrize("kind", MACHINES)
def test_a_branch_is_recorded_or_named_as_not_recorded(kind: str) -> None:
    elsewhere = {name for table in (BY_MONEY, NOTED) for name in table.get(kind, "").split()}
    missing = all_events()[kind] - recorded_events()[kind] - elsewhere
    assert missing == set(NOT_RECORDED.get(kind, "").split())
