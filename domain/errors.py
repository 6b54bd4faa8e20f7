"""Everything the platform refuses, as types. Each has a stable code and the HTTP status it maps to."""

from __future__ import annotations

from typing import ClassVar


class DomainError(Exception):
    """A request that was understood and refused; retrying it unchanged cannot help.

    `field` names the offending input in dotted form when there is one; `accepted` says what would be accepted.
    """

    code: ClassVar[str] = "refused"
    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "The request was refused"

    def __init__(
        self, detail: str, *, field: str | None = None, accepted: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.accepted = accepted


class InvalidInput(DomainError):
    """A value that no state of the platform would accept."""

    code = "invalid_input"
    http_status = 422
    title = "A value is not acceptable"


class UnknownCurrency(InvalidInput):
    """Not an active ISO 4217 code."""

    code = "unknown_currency"
    title = "Unknown currency"


class CurrencyMismatch(InvalidInput):
    """Two amounts of different currencies met."""

    code = "currency_mismatch"
    title = "Currencies never mix"


class AmountOutOfRange(InvalidInput):
    """An amount is not a whole number of minor units within the platform's bounds."""

    code = "amount_out_of_range"
    title = "Amount out of range"


class RefundTooLarge(AmountOutOfRange):
    """More than is left of the line; `accepted` says how much is."""

    code = "refund_too_large"
    title = "More than is left"


class OwnListing(InvalidInput):
    """Nobody buys from themselves."""

    code = "own_listing"
    title = "This is your own listing"


class UnknownListing(InvalidInput):
    """The listing does not exist or is not on sale."""

    code = "unknown_listing"
    title = "No such listing on sale"


class UnknownFile(InvalidInput):
    """The file does not exist or was uploaded by somebody else."""

    code = "unknown_file"
    title = "No such file of yours"


class SeveralSellers(InvalidInput):
    """All lines of one sale must come from one seller and be priced in one currency."""

    code = "several_sellers"
    title = "One sale has one seller and one currency"


class SeveralCurrencies(InvalidInput):
    """All lines of one order are paid at once, so they must be priced in one currency."""

    code = "several_currencies"
    title = "One order has one currency"


class ConfirmationMissing(InvalidInput):
    """A made-to-order piece needs the buyer's explicit confirmation (消费者权益保护法, article 25)."""

    code = "made_to_order_not_confirmed"
    title = "Made-to-order must be confirmed"


class FileRefused(InvalidInput):
    """The upload is not the picture or document it claims to be."""

    code = "file_refused"
    title = "The file is not acceptable"


class FileTooLarge(InvalidInput):
    """The upload has more bytes or pixels than allowed."""

    code = "file_too_large"
    http_status = 413
    title = "The file is too large"


class NotFound(DomainError):
    """Does not exist, or not for this user: the two answers are the same on purpose."""

    code = "not_found"
    http_status = 404
    title = "Not found"


class Unauthenticated(DomainError):
    """No valid bearer token."""

    code = "unauthenticated"
    http_status = 401
    title = "A valid bearer token is needed"


class StepUpNeeded(Unauthenticated):
    """Money acts need a sign-in that is younger than this one (RFC 9470, step-up authentication)."""

    code = "step_up_needed"
    title = "Sign in again"


class Forbidden(DomainError):
    """The user may see this but not do that."""

    code = "forbidden"
    http_status = 403
    title = "Not allowed for this user"


class OwnRequest(Forbidden):
    """Nobody decides about what they asked for themselves, decided before, or have a part in."""

    code = "own_request"
    title = "Somebody else has to decide this"


class AccountFrozen(DomainError):
    """An operator has frozen the account: it may look at everything of its own, but not begin anything."""

    code = "account_frozen"
    http_status = 403
    title = "This account is frozen"


class CapabilityLimited(AccountFrozen):
    """The account may not do this kind of thing at present; `field` names which: bid, pledge, sell or withdraw."""

    code = "capability_limited"
    title = "Not allowed for this account at present"


class SelfDealing(DomainError):
    """Nobody takes part in their own path, nor through an account of the same person.

    It does not tell which other account that is, nor how the platform knows: operators see that.
    """

    code = "self_dealing"
    http_status = 403
    title = "This is your own path"


class NotEligible(DomainError):
    """The rules of the ballot do not let this person vote; the answer says which rule."""

    code = "not_eligible"
    http_status = 403
    title = "You may not vote here"


class ChainBroken(DomainError):
    """The votes as they are stored are not the votes as they were cast; an operator must look."""

    code = "chain_broken"
    title = "The votes have been tampered with"


class WrongPhase(DomainError):
    """The path is in a phase in which this cannot happen."""

    code = "wrong_phase"
    title = "Not possible in this phase"


class TooLate(DomainError):
    """The request arrived at or after the deadline, by the database's clock."""

    code = "too_late"
    title = "The deadline has passed"


class SharesDoNotSum(InvalidInput):
    """Parts of an amount that must add up to it exactly do not."""

    code = "shares_do_not_sum"
    title = "The parts do not add up"


class AboveCap(InvalidInput):
    """The buyer has said how much they pay at most, and the bid asks for more."""

    code = "above_cap"
    title = "More than the buyer pays"


class BelowPrice(InvalidInput):
    """A pledge offers less than what was chosen costs."""

    code = "below_price"
    title = "Less than what was chosen costs"


class BelowSold(InvalidInput):
    """A limit would be lower than what has been sold already."""

    code = "below_sold"
    title = "More is sold already"


class UnknownBid(InvalidInput):
    """The bid does not exist, belongs to another tender or was withdrawn."""

    code = "unknown_bid"
    title = "No such bid on this tender"


class TalkFirst(DomainError):
    """Both sides should talk before others decide; `accepted` tells from when on."""

    code = "talk_first"
    title = "Talk first"


class LimitReached(DomainError):
    """Everything of this kind that the person may do here has been done."""

    code = "limit_reached"
    title = "The limit is reached"


class OutOfStock(DomainError):
    """Fewer pieces are left than were asked for."""

    code = "out_of_stock"
    title = "Not enough in stock"


class PriceChanged(DomainError):
    """The total is not the one the buyer saw."""

    code = "price_changed"
    title = "The price has changed"


class HoldTooLong(InvalidInput):
    """The path could last longer than the provider lets us hold the money."""

    code = "hold_too_long"
    title = "Longer than money can be held"


class IdempotencyKeyMissing(DomainError):
    """Every POST carries an Idempotency-Key of 1 to 255 visible ASCII characters."""

    code = "idempotency_key_missing"
    http_status = 400
    title = "Idempotency-Key header needed"


class IdempotencyConflict(DomainError):
    """The same idempotency key came with another input."""

    code = "idempotency_key_reused"
    http_status = 422
    title = "Idempotency key used for another request"


class InsufficientFunds(DomainError):
    """An account does not hold what the posting would take from it."""

    code = "insufficient_funds"
    title = "Not enough money on the account"


class UnbalancedEntry(DomainError):
    """Debits and credits of a journal entry differ."""

    code = "unbalanced_entry"
    http_status = 422
    title = "Journal entry does not balance"


class PathNotEmpty(DomainError):
    """A path may close only when its escrow, deposits, refunds due and disputes are 0."""

    code = "path_not_empty"
    title = "The path still holds money"


class NothingToPayOut(DomainError):
    """The payable balance that is available is 0 or below the minimum."""

    code = "nothing_to_pay_out"
    title = "Nothing to pay out"


class NoDestination(DomainError):
    """The payee has no active payout destination for this currency."""

    code = "no_payout_destination"
    title = "No payout destination"


class PayoutTooSoon(DomainError):
    """The payee had a payout within the minimum interval."""

    code = "payout_too_soon"
    title = "Too soon after the last payout"


class PayeeNotVerified(DomainError):
    """The payment company has not verified the payee, or not any more."""

    code = "payee_not_verified"
    title = "The payment company has not verified the payee"


class DestinationTooNew(DomainError):
    """The payout destination was changed a short while ago; `accepted` tells from when it is used."""

    code = "destination_too_new"
    title = "The payout destination is too new"


class StillOwing(DomainError):
    """The account cannot be closed while something is in the way, which the detail lists."""

    code = "account_not_empty"
    title = "The account cannot be closed yet"


class NeedsSecondOperator(DomainError):
    """The command needs the approval of another operator before it is done."""

    code = "needs_second_operator"
    title = "A second operator has to approve"


class WebhookRefused(DomainError):
    """Signature, timestamp or form of a webhook is not acceptable."""

    code = "webhook_refused"
    http_status = 401
    title = "Webhook not accepted"


class ProviderRefused(DomainError):
    """The payment company understood and refused the operation."""

    code = "provider_refused"
    title = "Refused by the payment provider"


class ProviderUnreachable(DomainError):
    """The payment company could not be reached while the order waited for it; the order has ended."""

    code = "provider_unreachable"
    title = "The payment provider could not be reached"


class ProviderMismatch(DomainError):
    """The provider's object differs from what we asked for; an operator must look."""

    code = "provider_mismatch"
    title = "The provider's record differs from ours"


class Unavailable(DomainError):
    """A part of the platform is down for the moment; the same request may be sent again."""

    code = "unavailable"
    http_status = 503
    title = "Temporarily unavailable"


def all_errors() -> dict[str, type[DomainError]]:
    """Every error type by its code, for the OpenAPI document and for crossing the Temporal boundary."""
    found: dict[str, type[DomainError]] = {}
    pending: list[type[DomainError]] = [DomainError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found


class EvidenceTooLate(DomainError):
    """The evidence of this chargeback is on its way or due no more; `accepted` tells what can still be done."""

    code = "evidence_too_late"
    title = "No more evidence is taken"


class PayerLocked(DomainError):
    """The payer's bank has taken money back: nothing new is paid for until that is won or cleared."""

    code = "payer_locked"
    http_status = 403
    title = "Not allowed while your bank has taken money back"
