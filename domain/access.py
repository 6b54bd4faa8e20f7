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
    OPERATOR = "operator"
    ADMIN = "admin"


class Action(StrEnum):
    """Everything the API lets somebody do or see, besides public pages."""

    PROFILE_EDIT = "profile.edit"
    USER_LIST = "user.list"
    ROLE_GRANT = "role.grant"
    FILE_UPLOAD = "file.upload"
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


_M, _O, _B, _S = Relation.MEMBER, Relation.OWNER, Relation.BUYER, Relation.SELLER
_OP, _AD = Relation.OPERATOR, Relation.ADMIN

POLICY: dict[Action, frozenset[Relation]] = {
    Action.PROFILE_EDIT: frozenset({_O}),
    Action.USER_LIST: frozenset({_OP, _AD}),
    Action.ROLE_GRANT: frozenset({_AD}),
    Action.FILE_UPLOAD: frozenset({_M}),
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
    Action.PATH_STATEMENT_VIEW: frozenset({_B, _S, _OP}),
    Action.LEDGER_VIEW: frozenset({_OP}),
}


def allowed(action: Action, relations: Collection[Relation]) -> bool:
    """Whether any of the user's relations to the thing allows the action."""
    return not POLICY[action].isdisjoint(relations)


def require(action: Action, relations: Collection[Relation]) -> None:
    """Raises Forbidden unless allowed."""
    if not allowed(action, relations):
        needed = ", ".join(sorted(POLICY[action]))
        raise Forbidden(f"{action} is for: {needed}", accepted=needed)
