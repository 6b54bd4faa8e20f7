"""Who may do what: one table from action to the relations that allow it."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from domain.errors import Forbidden


class Role(StrEnum):
    """Roles a user holds on the whole platform, kept in the database. Every user may buy and sell."""

    OPERATOR = "operator"
    """Reads and steers every path."""
    ADMIN = "admin"
    """Grants roles."""


class Relation(StrEnum):
    """What a user is to the thing they act on."""

    MEMBER = "member"
    """Any signed-in user."""
    OWNER = "owner"
    """The one whose listing, file, payout, destination or statement it is."""
    BUYER = "buyer"
    SELLER = "seller"
    INITIATOR = "initiator"
    """Started the contest, tender or ballot, and pays for it."""
    CREATOR = "creator"
    """Has entered the contest."""
    BIDDER = "bidder"
    """Has bid on the tender."""
    BACKER = "backer"
    """Has pledged to the campaign."""
    ASKER = "asker"
    """Asks for the help that is offered; once somebody is picked, only they."""
    APPROVER = "approver"
    """Decides on the spendings of the match call."""
    MAKER = "maker"
    """Has claimed the lot, or acts for who has, with their consent; of an order, has any lot of it."""
    BROKER = "broker"
    """Has claimed the lot for its maker, whose consent may have ended since."""
    REQUESTER = "requester"
    """Ordered what the lot is made for."""
    INSPECTOR = "inspector"
    """Inspects the goods: the independent certifier, else the requester; on an appeal also the second inspector."""
    JUROR = "juror"
    """Was drawn to decide an appeal of the lot."""
    CLAIMANT = "claimant"
    """Has opened the dispute."""
    RESPONDENT = "respondent"
    """Is the other side of the dispute."""
    AUDIENCE = "audience"
    """A path shows them the file."""
    OPERATOR = "operator"
    ADMIN = "admin"


class Action(StrEnum):
    """Everything the API lets somebody do or see, besides public pages."""

    PROFILE_EDIT = "profile.edit"
    USER_LIST = "user.list"
    ROLE_GRANT = "role.grant"
    FILE_UPLOAD = "file.upload"
    FILE_VIEW = "file.view"
    LISTING_CREATE = "listing.create"
    LISTING_EDIT = "listing.edit"
    SALE_PLACE = "sale.place"
    SALE_VIEW = "sale.view"
    SALE_ACCEPT = "sale.accept"
    SALE_DECLINE = "sale.decline"
    SALE_SHIP = "sale.ship"
    SALE_CANCEL = "sale.cancel"
    SALE_CONFIRM = "sale.confirm"
    PAYMENT_VIEW = "payment.view"
    REFUND_VIEW = "refund.view"
    REFUND_ACCEPT = "refund.accept_balance"
    DESTINATION_ADD = "destination.add"
    PAYOUT_REQUEST = "payout.request"
    PAYOUT_VIEW = "payout.view"
    BALANCE_VIEW = "balance.view"
    PATH_STATEMENT_VIEW = "path_statement.view"
    LEDGER_VIEW = "ledger.view"
    USER_VERIFY = "user.verify"
    USER_FREEZE = "user.freeze"
    REFUSAL_LIST = "refusal.list"
    CONTEST_CREATE = "contest.create"
    CONTEST_VIEW = "contest.view"
    CONTEST_EDIT = "contest.edit"
    CONTEST_FUND = "contest.fund"
    CONTEST_ENTER = "contest.enter"
    ENTRY_EDIT = "entry.edit"
    CONTEST_DECIDE = "contest.decide"
    CONTEST_OBJECT = "contest.object"
    CONTEST_HAND_OVER = "contest.hand_over"
    CONTEST_RULE = "contest.rule"
    TENDER_CREATE = "tender.create"
    TENDER_VIEW = "tender.view"
    TENDER_EDIT = "tender.edit"
    TENDER_FUND = "tender.fund"
    TENDER_BID = "tender.bid"
    BID_EDIT = "bid.edit"
    TENDER_DECIDE = "tender.decide"
    TENDER_NEGOTIATE = "tender.negotiate"
    TENDER_WORK = "tender.work"
    TENDER_DISPUTE = "tender.dispute"
    TENDER_RULE = "tender.rule"
    BALLOT_CREATE = "ballot.create"
    BALLOT_VIEW = "ballot.view"
    BALLOT_EDIT = "ballot.edit"
    BALLOT_VOTE = "ballot.vote"
    BALLOT_RULE = "ballot.rule"

    CAMPAIGN_CREATE = "campaign.create"
    CAMPAIGN_VIEW = "campaign.view"
    CAMPAIGN_EDIT = "campaign.edit"
    CAMPAIGN_SUBMIT = "campaign.submit"
    CAMPAIGN_REVIEW = "campaign.review"
    CAMPAIGN_CANCEL = "campaign.cancel"
    CAMPAIGN_BAN = "campaign.ban"
    CAMPAIGN_PLEDGE = "campaign.pledge"
    PLEDGE_VIEW = "pledge.view"
    PLEDGE_EDIT = "pledge.edit"
    CAMPAIGN_DELIVER = "campaign.deliver"
    CAMPAIGN_RULE = "campaign.rule"
    CAMPAIGN_VOTE = "campaign.vote"
    REWARD_UNLOCK = "reward.unlock"
    MATCH_CREATE = "match.create"
    MATCH_VIEW = "match.view"
    MATCH_EDIT = "match.edit"
    MATCH_FUND = "match.fund"
    MATCH_APPLY = "match.apply"
    MATCH_DECIDE = "match.decide"
    MATCH_SPEND = "match.spend"
    MATCH_APPROVE = "match.approve"
    MATCH_REPORT = "match.report"
    MATCH_RULE = "match.rule"
    IN_KIND_CREATE = "in_kind.create"
    IN_KIND_VIEW = "in_kind.view"
    IN_KIND_EDIT = "in_kind.edit"
    IN_KIND_FOLLOW = "in_kind.follow"
    IN_KIND_ASK = "in_kind.ask"
    ASK_EDIT = "ask.edit"
    IN_KIND_DECIDE = "in_kind.decide"
    IN_KIND_RECEIVE = "in_kind.receive"
    IN_KIND_CALL_OFF = "in_kind.call_off"
    IN_KIND_RULE = "in_kind.rule"
    PRODUCTION_CREATE = "production.create"
    PRODUCTION_VIEW = "production.view"
    PRODUCTION_EDIT = "production.edit"
    PRODUCTION_FUND = "production.fund"
    PRODUCTION_STOP = "production.stop"
    LOT_CLAIM = "lot.claim"
    LOT_VIEW = "lot.view"
    LOT_MAKE = "lot.make"
    LOT_SUPPLY = "lot.supply"
    LOT_RECEIVE = "lot.receive"
    LOT_RULE = "lot.rule"
    INSPECTION_VIEW = "inspection.view"
    INSPECTION_DECIDE = "inspection.decide"
    SERIES_RESUME = "series.resume"
    CONSENT_GIVE = "consent.give"
    RETURN_OPEN = "return.open"
    RETURN_VIEW = "return.view"
    RETURN_ANSWER = "return.answer"
    RETURN_SHIP = "return.ship"
    GOODWILL_GIVE = "goodwill.give"
    DISPUTE_OPEN = "dispute.open"
    DISPUTE_SEE = "dispute.see"
    DISPUTE_TAKE_PART = "dispute.take_part"
    DISPUTE_RULE = "dispute.rule"
    ORDER_PLACE = "order.place"
    ORDER_VIEW = "order.view"
    ORDER_CANCEL = "order.cancel"
    MESSAGE_WRITE = "message.write"
    MESSAGE_SEE = "message.see"
    CHARGEBACK_SEE = "chargeback.see"
    EVIDENCE_HAND_IN = "evidence.hand_in"
    CHARGEBACK_RULE = "chargeback.rule"
    UNWIND_VIEW = "unwind.view"
    RECONCILE_SEE = "reconcile.see"
    CASE_SEE = "case.see"
    COMMAND_PROPOSE = "command.propose"
    COMMAND_APPROVE = "command.approve"
    ACCOUNT_LIMIT = "account.limit"
    ACCOUNT_CLOSE = "account.close"
    PAYEE_SEE = "payee.see"
    PAYOUT_CANCEL = "payout.cancel"
    PAYOUT_DECIDE = "payout.decide"
    TAX_SEE = "tax.see"
    TAX_REPORT = "tax.report"


_M, _O, _B, _S = Relation.MEMBER, Relation.OWNER, Relation.BUYER, Relation.SELLER
_OP, _AD = Relation.OPERATOR, Relation.ADMIN
_I, _C, _BID = Relation.INITIATOR, Relation.CREATOR, Relation.BIDDER
_BACK = Relation.BACKER
_MK, _RQ, _INS = Relation.MAKER, Relation.REQUESTER, Relation.INSPECTOR
_JUR, _BRK = Relation.JUROR, Relation.BROKER
_PARTIES = frozenset(
    {_B, _S, _I, _C, _BID, _BACK, Relation.APPROVER, Relation.ASKER, _MK, _BRK, _RQ}
)
"""Whoever has a part in a path and its money; what a thing's own two sides are is asked besides."""
_SIDES = frozenset({Relation.CLAIMANT, Relation.RESPONDENT})

POLICY: dict[Action, frozenset[Relation]] = {
    Action.PROFILE_EDIT: frozenset({_O}),
    Action.USER_LIST: frozenset({_OP, _AD}),
    Action.ROLE_GRANT: frozenset({_AD}),
    Action.FILE_UPLOAD: frozenset({_M}),
    Action.FILE_VIEW: frozenset({_O, Relation.AUDIENCE, _OP}),
    Action.LISTING_CREATE: frozenset({_M}),
    Action.LISTING_EDIT: frozenset({_O}),
    Action.SALE_PLACE: frozenset({_M}),
    Action.SALE_VIEW: frozenset({_B, _S, _OP}),
    Action.SALE_ACCEPT: frozenset({_S}),
    Action.SALE_DECLINE: frozenset({_S}),
    Action.SALE_SHIP: frozenset({_S}),
    Action.SALE_CANCEL: frozenset({_B, _S, _OP}),
    Action.SALE_CONFIRM: frozenset({_B}),
    Action.PAYMENT_VIEW: frozenset({_B, _OP}),
    Action.REFUND_VIEW: frozenset({_B, _S, _OP}),
    Action.REFUND_ACCEPT: frozenset({_B}),
    Action.DESTINATION_ADD: frozenset({_M}),
    Action.PAYOUT_REQUEST: frozenset({_M}),
    Action.PAYOUT_VIEW: frozenset({_O, _OP}),
    Action.BALANCE_VIEW: frozenset({_O, _OP}),
    Action.PATH_STATEMENT_VIEW: frozenset(
        {_B, _S, _I, _C, _BID, Relation.APPROVER, _MK, _BRK, _RQ, _OP}
    ),
    Action.LEDGER_VIEW: frozenset({_OP}),
    Action.USER_VERIFY: frozenset({_OP}),
    Action.USER_FREEZE: frozenset({_OP}),
    Action.REFUSAL_LIST: frozenset({_OP}),
    Action.CONTEST_CREATE: frozenset({_M}),
    Action.CONTEST_VIEW: frozenset({_M}),
    Action.CONTEST_EDIT: frozenset({_I}),
    Action.CONTEST_FUND: frozenset({_I}),
    Action.CONTEST_ENTER: frozenset({_M}),
    Action.ENTRY_EDIT: frozenset({_O}),
    Action.CONTEST_DECIDE: frozenset({_I}),
    Action.CONTEST_OBJECT: frozenset({_M}),
    Action.CONTEST_HAND_OVER: frozenset({_C}),
    Action.CONTEST_RULE: frozenset({_OP}),
    Action.TENDER_CREATE: frozenset({_M}),
    Action.TENDER_VIEW: frozenset({_M}),
    Action.TENDER_EDIT: frozenset({_I}),
    Action.TENDER_FUND: frozenset({_I}),
    Action.TENDER_BID: frozenset({_M}),
    Action.BID_EDIT: frozenset({_O}),
    Action.TENDER_DECIDE: frozenset({_I}),
    Action.TENDER_NEGOTIATE: frozenset({_I, _BID}),
    Action.TENDER_WORK: frozenset({_BID}),
    Action.TENDER_DISPUTE: frozenset({_I, _BID}),
    Action.TENDER_RULE: frozenset({_OP}),
    Action.BALLOT_CREATE: frozenset({_M}),
    Action.BALLOT_VIEW: frozenset({_M}),
    Action.BALLOT_EDIT: frozenset({_I}),
    Action.BALLOT_VOTE: frozenset({_M}),
    Action.BALLOT_RULE: frozenset({_OP}),
    Action.CAMPAIGN_CREATE: frozenset({_M}),
    Action.CAMPAIGN_VIEW: frozenset({_M}),
    Action.CAMPAIGN_EDIT: frozenset({_I}),
    Action.CAMPAIGN_SUBMIT: frozenset({_I}),
    Action.CAMPAIGN_REVIEW: frozenset({_OP}),
    Action.CAMPAIGN_CANCEL: frozenset({_I}),
    Action.CAMPAIGN_BAN: frozenset({_OP}),
    Action.CAMPAIGN_PLEDGE: frozenset({_M}),
    Action.PLEDGE_VIEW: frozenset({_O, _I, _OP}),
    Action.PLEDGE_EDIT: frozenset({_O}),
    Action.CAMPAIGN_DELIVER: frozenset({_I}),
    Action.CAMPAIGN_RULE: frozenset({_OP}),
    Action.CAMPAIGN_VOTE: frozenset({_BACK}),
    Action.REWARD_UNLOCK: frozenset({_I, _OP}),
    Action.MATCH_CREATE: frozenset({_M}),
    Action.MATCH_VIEW: frozenset({_M}),
    Action.MATCH_EDIT: frozenset({_I}),
    Action.MATCH_FUND: frozenset({_I}),
    Action.MATCH_APPLY: frozenset({_M}),
    Action.MATCH_DECIDE: frozenset({_I}),
    Action.MATCH_SPEND: frozenset({_I, Relation.APPROVER}),
    Action.MATCH_APPROVE: frozenset({Relation.APPROVER}),
    Action.MATCH_REPORT: frozenset({_I, Relation.APPROVER, _OP}),
    Action.MATCH_RULE: frozenset({_OP}),
    Action.IN_KIND_CREATE: frozenset({_M}),
    Action.IN_KIND_VIEW: frozenset({_M}),
    Action.IN_KIND_EDIT: frozenset({_I}),
    Action.IN_KIND_FOLLOW: frozenset({_I, Relation.ASKER, _OP}),
    Action.IN_KIND_ASK: frozenset({_M}),
    Action.ASK_EDIT: frozenset({_O}),
    Action.IN_KIND_DECIDE: frozenset({_I}),
    Action.IN_KIND_RECEIVE: frozenset({Relation.ASKER}),
    Action.IN_KIND_CALL_OFF: frozenset({_I, Relation.ASKER}),
    Action.IN_KIND_RULE: frozenset({_OP}),
    Action.PRODUCTION_CREATE: frozenset({_M}),
    Action.PRODUCTION_VIEW: frozenset({_M}),
    Action.PRODUCTION_EDIT: frozenset({_I}),
    Action.PRODUCTION_FUND: frozenset({_I}),
    Action.PRODUCTION_STOP: frozenset({_I, _OP}),
    Action.LOT_CLAIM: frozenset({_M}),
    Action.LOT_VIEW: frozenset({_MK, _BRK, _RQ, _INS, _JUR, _OP}),
    Action.LOT_MAKE: frozenset({_MK}),
    Action.LOT_SUPPLY: frozenset({_RQ}),
    Action.LOT_RECEIVE: frozenset({_INS, _RQ}),
    Action.LOT_RULE: frozenset({_OP}),
    Action.INSPECTION_VIEW: frozenset({_MK, _BRK, _RQ, _INS, _JUR, _OP}),
    Action.INSPECTION_DECIDE: frozenset({_INS}),
    Action.SERIES_RESUME: frozenset({_M}),
    Action.CONSENT_GIVE: frozenset({_M}),
    Action.RETURN_OPEN: frozenset({_B}),
    Action.RETURN_VIEW: frozenset({_B, _S, _OP}),
    Action.RETURN_ANSWER: frozenset({_S}),
    Action.RETURN_SHIP: frozenset({_B}),
    Action.GOODWILL_GIVE: frozenset({_S}),
    Action.DISPUTE_OPEN: _PARTIES,
    Action.DISPUTE_SEE: _SIDES | {_OP},
    Action.DISPUTE_TAKE_PART: _SIDES,
    Action.DISPUTE_RULE: frozenset({_OP}),
    Action.ORDER_PLACE: frozenset({_M}),
    Action.ORDER_VIEW: frozenset({_I, _OP}),
    Action.ORDER_CANCEL: frozenset({_I}),
    Action.MESSAGE_WRITE: _PARTIES | _SIDES,
    Action.MESSAGE_SEE: _PARTIES | _SIDES | {_OP},
    Action.CHARGEBACK_SEE: _PARTIES | {_OP},
    Action.EVIDENCE_HAND_IN: _PARTIES | {_OP},
    Action.CHARGEBACK_RULE: frozenset({_OP}),
    Action.UNWIND_VIEW: _PARTIES | {_BACK, _OP},
    Action.RECONCILE_SEE: frozenset({_OP}),
    Action.CASE_SEE: frozenset({_OP}),
    Action.COMMAND_PROPOSE: frozenset({_OP}),
    Action.COMMAND_APPROVE: frozenset({_OP}),
    Action.ACCOUNT_LIMIT: frozenset({_OP}),
    Action.ACCOUNT_CLOSE: frozenset({_O}),
    Action.PAYEE_SEE: frozenset({_O, _OP}),
    Action.PAYOUT_CANCEL: frozenset({_O}),
    Action.PAYOUT_DECIDE: frozenset({_OP}),
    Action.TAX_SEE: frozenset({_O, _OP}),
    Action.TAX_REPORT: frozenset({_OP}),
}


def allowed(action: Action, relations: Collection[Relation]) -> bool:
    """Whether any of the user's relations to the thing allows the action."""
    return not POLICY[action].isdisjoint(relations)


def require(action: Action, relations: Collection[Relation]) -> None:
    """Raises Forbidden unless allowed."""
    if not allowed(action, relations):
        needed = ", ".join(sorted(POLICY[action]))
        raise Forbidden(f"{action} is for: {needed}", accepted=needed)
