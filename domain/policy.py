"""The timers, fees and fallback rules of a path. Settings with bounds; fixed in the path's input when it starts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from domain.model import BasisPoints, Message
from domain.money import Currency

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


class Backoff(Message):
    """Looking again at doubling distance: `first`, 2 x `first`, … up to `longest` seconds."""

    first: Annotated[int, Field(ge=1)]
    longest: Annotated[int, Field(ge=1)]

    def wait(self, attempt: int) -> timedelta:
        """How long to wait before look number `attempt`, counted from 0."""
        return timedelta(seconds=min(self.longest, self.first * 2 ** min(attempt, 30)))


class SalePolicy(Message):
    """Rules of one sale. All times in seconds; the defaults are those of paths 2.6."""

    payment_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = 15 * _MINUTE
    """How long pieces stay reserved while the buyer pays."""
    accept_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 72 * _HOUR
    """How long the seller may take to accept a paid order."""
    ship_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long pieces in stock may stay unshipped after acceptance."""
    lead_grace_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How far made-to-order and pre-ordered pieces may run past their lead time or release date."""
    scan_silence_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 10 * _DAY
    """A parcel without any scan for this long counts as lost."""
    confirm_express_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 10 * _DAY
    """How long a buyer may inspect a delivered parcel before the sale completes by itself."""
    confirm_pickup_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 2 * _DAY
    """The same for pieces handed over in person."""
    fee_basis_points: BasisPoints = 800
    """The platform's commission on each line."""
    protection_basis_points: BasisPoints = 0
    """Share of the commission that feeds the protection fund."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    """When no webhook comes: first look at the provider after this long, then at doubling distance."""

    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR
    """A payment company that cannot be reached for this long while the buyer pays calls the operators."""

    @property
    def poll(self) -> Backoff:
        """When to look at the provider while the buyer pays."""
        return Backoff(first=self.poll_first_seconds, longest=self.payment_seconds)

    def hold_seconds(self, lead_days: int) -> int:
        """Longest time the money of a sale that goes well can stay in escrow."""
        making = max(self.ship_seconds, lead_days * _DAY + self.lead_grace_seconds)
        return (
            self.accept_seconds
            + making
            + self.scan_silence_seconds
            + max(self.confirm_express_seconds, self.confirm_pickup_seconds)
        )


class ContestPolicy(Message):
    """Rules of one contest. All times in seconds; the defaults are those of paths 2.2."""

    card_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = 15 * _MINUTE
    """How long the owner may take to pay by card."""
    bank_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 3 * _DAY
    """How long the owner may take to pay by bank transfer."""
    entry_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long creators may enter; with two rounds the qualifying round (99designs: 4 + 3 days)."""
    pick_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 4 * _DAY
    """How long the owner may take to pick the finalists (99designs)."""
    final_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """How long finalists may improve their entries (99designs)."""
    choose_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 14 * _DAY
    """How long the owner may take to choose (99designs, Freelancer)."""
    choose_again_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    """The same when a winner has been lost."""
    nudge_seconds: tuple[int, ...] = (7 * _DAY, 11 * _DAY, 13 * _DAY)
    """When a silent owner is reminded, counted from the beginning of the choice."""
    vote_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 2 * _DAY
    """How long the crowd votes for an owner who stayed silent (KPPW)."""
    vote_notice_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = _DAY
    """How long the result of that vote can be contested before the winner is announced."""
    notice_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """公示: how long an announced decision waits for objections."""
    ruling_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    """How long the operators may take over an objection; then the announcement stands."""
    hand_over_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 10 * _DAY
    """How long a winner may take to sign the licence and hand over the files (KPPW max_agree_time)."""
    accept_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    """How long the owner may look at what was handed over; then it counts as accepted."""
    revisions: Annotated[int, Field(ge=0, le=10)] = 2
    """How often the owner may ask a winner for a revision."""
    extension_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 2 * _DAY
    """What an extension adds (KPPW adjourn_day)."""
    extensions: Annotated[int, Field(ge=0, le=10)] = 2
    extension_basis_points: BasisPoints = 1_000
    """Least share of the bounty that an extension must add."""
    refund_within_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 60 * _DAY
    """How long after paying the owner of a refundable contest may take the bounty back (99designs)."""
    plagiarism_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 90 * _DAY
    """How long after the end an award can still be taken back."""
    entries_each: Annotated[int, Field(ge=1, le=50)] = 5
    """Entries of one creator that count at the same time."""
    fee_basis_points: BasisPoints = 1_000
    """The platform's commission, taken out of what is released."""
    grace_seconds: Annotated[int, Field(ge=0, le=300)] = 60
    """How long after a deadline for entries what had arrived in time is still being written down."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR

    @property
    def poll(self) -> Backoff:
        """When to look at the provider while the owner pays."""
        return Backoff(first=self.poll_first_seconds, longest=_HOUR)

    def hold_seconds(self) -> int:
        """Longest time the bounty of a contest that goes well can stay in escrow."""
        return (
            self.entry_seconds
            + self.extensions * self.extension_seconds
            + self.pick_seconds
            + self.final_seconds
            + self.choose_seconds
            + self.vote_seconds
            + self.vote_notice_seconds
            + self.notice_seconds
            + (1 + self.revisions) * (self.hand_over_seconds + self.accept_seconds)
        )


class BallotPolicy(Message):
    """Rules of one ballot. All times in seconds; the defaults are those of paths 2.8."""

    voting_shortest_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 2 * _DAY
    """Least time to vote that an initiator may choose (KPPW)."""
    voting_longest_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 30 * _DAY
    """Longest time to vote that an initiator may choose."""
    notice_shortest_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _DAY
    """Least time that the result is on public notice 公示 before it is final (KPPW show_limit_time)."""
    notice_longest_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """Longest time on public notice that an initiator may choose."""
    account_age_seconds: Annotated[int, Field(ge=0, le=365 * _DAY)] = 2 * _DAY
    """How old an account must be to vote, unless the initiator asks for more or less (KPPW reg_vote_limit_time)."""
    extension_percent: Annotated[int, Field(ge=1, le=100)] = 50
    """Share of the voting time that is added, once, when too few have voted."""
    retally_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 30 * _DAY
    """How long after the end votes can still be declared void for fraud, and the rest counted again."""
    grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How long after the deadline votes that had arrived in time are still being written down."""


class TenderPolicy(Message):
    """Rules of one tender. All times in seconds; the defaults are those of paths 2.3, most of them KPPW's."""

    payment_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = 15 * _MINUTE
    """How long the buyer may take to pay the deposit at once."""
    transfer_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 3 * _DAY
    """The same by bank transfer, which takes days."""
    bidding_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """Time for bids, unless the buyer chooses another."""
    bidding_longest_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 30 * _DAY
    grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How long after the deadline bids that had arrived in time are still being written down."""
    select_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 4 * _DAY
    """How long the buyer may take to choose a bid (KPPW)."""
    accept_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 2 * _DAY
    """How long a bidder may take to accept the award."""
    milestone_payment_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 5 * _DAY
    """How long the buyer may take to pay a milestone (KPPW)."""
    approve_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long the buyer may look at what was submitted; then it counts as approved (Upwork, Sharetribe)."""
    changes_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long the worker may take over changes."""
    change_requests: Annotated[int, Field(ge=0, le=10)] = 3
    """How often the buyer may ask for changes of one milestone; after that only a dispute is left."""
    late_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How far the worker may run past the due date before the buyer may cancel."""
    hard_stop_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 75 * _DAY
    """A milestone with nothing to look at goes back to the buyer this long after it was paid (Sharetribe)."""
    ruling_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 60 * _DAY
    """How long operators may take over a dispute; then what was submitted is released, the rest refunded."""
    fee_basis_points: BasisPoints = 1_000
    """The platform's commission, taken out of what is released."""
    listing_fee_basis_points: BasisPoints = 1_000
    """Share of the deposit the platform keeps when people have bid and the buyer chooses nobody."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR

    def poll(self, window_seconds: int) -> Backoff:
        """When to look at the provider while the buyer may take so long to pay."""
        return Backoff(first=self.poll_first_seconds, longest=window_seconds)

    def hold_seconds(self) -> int:
        """Longest time the money of one milestone can stay in escrow while nobody disputes it."""
        round_trip = self.changes_seconds + self.approve_seconds
        return self.hard_stop_seconds + self.approve_seconds + self.change_requests * round_trip


class CampaignPolicy(Message):
    """Rules of one campaign. All times in seconds; the defaults are those of paths 2.4."""

    review_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 5 * _DAY
    """How long operators may take to look at a campaign before it is shown to them as overdue."""
    mending_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 30 * _DAY
    """How long a creator may take to mend what operators have sent back; then the campaign is given up."""
    schedule_longest_seconds: Annotated[int, Field(ge=1, le=365 * _DAY)] = 90 * _DAY
    """How far ahead a launch may be planned."""
    live_longest_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 60 * _DAY
    """How long pledges may be taken in one round (Kickstarter: 1 to 60 days)."""
    payment_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 15 * _MINUTE
    """How long seats stay reserved while a backer pays or saves a card."""
    slow_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 5 * _DAY
    """How long after the end a bank transfer that was begun in time may still arrive (Catarse waits too)."""
    fix_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    """How long a backer may mend a charge that failed (Kickstarter)."""
    remind_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 2 * _DAY
    """How often they are reminded of it (Kickstarter: every 48 hours)."""
    disbursal_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long after the success nothing is released (Kickstarter)."""
    milestone_review_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long operators may look at a reported milestone; then it counts as reached."""
    late_vote_seconds: Annotated[int, Field(ge=1, le=365 * _DAY)] = 30 * _DAY
    """How far past the promised delivery backers may ask for a vote on the money that is left."""
    vote_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    vote_notice_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = _DAY
    vote_quorum_basis_points: BasisPoints = 1_000
    """Share of the backers who must vote for the vote to count."""
    vote_again_seconds: Annotated[int, Field(ge=1, le=365 * _DAY)] = 90 * _DAY
    """How long after a vote the next one may be asked for."""
    long_stop_seconds: Annotated[int, Field(ge=1, le=730 * _DAY)] = 365 * _DAY
    """How far past the promised delivery the money of a silent creator goes back to those who have nothing."""
    reserve_seconds: Annotated[int, Field(ge=1, le=730 * _DAY)] = 180 * _DAY
    """How long after the success the reserve is kept (Indiegogo: at least 6 months)."""
    update_seconds: Annotated[int, Field(ge=1, le=365 * _DAY)] = 30 * _DAY
    """How long a creator who owes rewards may be silent before they are reminded to write to their backers."""
    late_payout_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """How often what late pledges have brought is released along with the parts that are reached (Kickstarter: weekly)."""
    received_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 30 * _DAY
    """How long after the shipping a backer may say that nothing has come; silence counts as received."""
    claim_least_amount: Annotated[int, Field(ge=1, le=10**9)] = 1_000
    """Least sum, in minor units, of what a stopped campaign's creator pays later that is shared among its backers, unless
    it is all that they are short of."""
    claim_wait_seconds: Annotated[int, Field(ge=0, le=730 * _DAY)] = 90 * _DAY
    """How long a smaller sum waits for more; then it is shared all the same."""
    unpaid_each: Annotated[int, Field(ge=1, le=100)] = 5
    """How many pledges one person may have begun and not paid: each of them keeps seats from others."""
    run_shards: Annotated[int, Field(ge=1, le=16)] = 2
    """In how many parts the pledges are charged, closed and sent back at the same time."""
    fee_basis_points: BasisPoints = 500
    """The platform's commission, taken out of what is released."""
    grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How long after the deadline pledges that had arrived in time are still being written down."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR

    @property
    def poll(self) -> Backoff:
        """When to look at the provider while a single payment is followed."""
        return Backoff(first=self.poll_first_seconds, longest=_HOUR)

    def hold_seconds(self, live_seconds: int, round2_seconds: int | None) -> int:
        """Longest time money that was paid on the first day stays in escrow before all of it may go back."""
        rounds = live_seconds + (round2_seconds or 0)
        return rounds + self.slow_seconds + self.fix_seconds + self.disbursal_seconds


class MatchPolicy(Message):
    """Rules of one match call. All times in seconds."""

    card_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = 15 * _MINUTE
    """How long the sponsor may take to pay the budget by card."""
    bank_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 3 * _DAY
    """The same by bank transfer."""
    open_longest_seconds: Annotated[int, Field(ge=1, le=365 * _DAY)] = 180 * _DAY
    """How long a call may be open for projects and pledges."""
    project_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 5 * _DAY
    """How long the sponsor may think about a project that applies; silence is a no."""
    settle_seconds: Annotated[int, Field(ge=1, le=365 * _DAY)] = 180 * _DAY
    """How long after it has closed a call waits for its campaigns to be decided before operators are called."""
    spending_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long a spending waits for its approvals; then it has lapsed."""
    grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR

    @property
    def poll(self) -> Backoff:
        """When to look at the provider while the sponsor pays."""
        return Backoff(first=self.poll_first_seconds, longest=_HOUR)


class InKindPolicy(Message):
    """Rules of one offer in kind. All times in seconds; the defaults are our own."""

    offer_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 30 * _DAY
    """How long people can ask for it."""
    offer_again_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """The same at least, when somebody who was picked has stepped back."""
    deposit_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 3 * _DAY
    """How long a borrower may take to pay the deposit."""
    hand_over_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long the supporter may take to hand it over; then the path is cancelled."""
    confirm_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long the asker may take to say whether it has come; then it counts as received."""
    late_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How far past its day a loan may run before it is overdue."""
    overdue_silence_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 30 * _DAY
    """How long the lender of an overdue loan may be silent; then it counts as returned."""
    return_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long the lender may look at what was sent back; then it counts as returned."""
    claim_answer_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 5 * _DAY
    """How long the borrower may think about a claim; then it stands."""
    ruling_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long operators may take over an objection or a contested claim."""
    loan_longest_seconds: Annotated[int, Field(ge=1, le=730 * _DAY)] = 365 * _DAY
    """How far ahead the day of return may lie."""
    picks: Annotated[int, Field(ge=1, le=100)] = 20
    """How often somebody may be picked for one offer."""
    extensions: Annotated[int, Field(ge=0, le=50)] = 10
    """How often the day of return may be put off."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR

    @property
    def poll(self) -> Backoff:
        """When to look at the provider while the borrower pays."""
        return Backoff(first=self.poll_first_seconds, longest=self.deposit_seconds)

    def settling_seconds(self) -> int:
        """Longest time from the day of return until the deposit has left, whoever is silent."""
        return (
            self.late_seconds
            + self.overdue_silence_seconds
            + self.return_seconds
            + self.claim_answer_seconds
            + self.ruling_seconds
        )


class RefundPolicy(Message):
    """Rules of one refund. All times in seconds."""

    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    poll_longest_seconds: Annotated[int, Field(ge=1, le=7 * _DAY)] = _DAY
    """Looks at the provider happen at doubling distance up to this."""
    offer_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 14 * _DAY
    """A refund the provider refuses is offered as balance; after this long it is credited without an answer."""

    silence_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """A provider that has not answered for this long calls the operators; asking goes on."""

    @property
    def silence(self) -> timedelta:
        """How long a provider may be silent."""
        return timedelta(seconds=self.silence_seconds)

    @property
    def offer(self) -> timedelta:
        """How long the offer stands."""
        return timedelta(seconds=self.offer_seconds)

    @property
    def poll(self) -> Backoff:
        """When to look at the provider."""
        return Backoff(first=self.poll_first_seconds, longest=self.poll_longest_seconds)


class ChargebackPolicy(Message):
    """Rules of following chargebacks. All times in seconds."""

    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 300
    poll_longest_seconds: Annotated[int, Field(ge=1, le=7 * _DAY)] = _DAY
    """Looks at the provider happen at doubling distance up to this; banks take weeks to decide."""
    silence_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """A provider that cannot be reached for this long calls the operators; asking goes on."""
    evidence_seconds: Annotated[int, Field(ge=0, le=30 * _DAY)] = 48 * _HOUR
    """So long before its last moment the evidence is handed in by itself, if nobody has done it."""

    @property
    def silence(self) -> timedelta:
        """How long a provider may be out of reach."""
        return timedelta(seconds=self.silence_seconds)

    @property
    def poll(self) -> Backoff:
        """When to look at the provider."""
        return Backoff(first=self.poll_first_seconds, longest=self.poll_longest_seconds)

    def hand_in_at(self, due_by: datetime | None) -> datetime | None:
        """When the evidence goes by itself; None: at once, since nobody knows its last moment."""
        return due_by and due_by - timedelta(seconds=self.evidence_seconds)


class PayoutPolicy(Message):
    """Rules of payouts. All times in seconds, amounts in minor units of the payout's currency."""

    availability_seconds: Annotated[int, Field(ge=0, le=90 * _DAY)] = 7 * _DAY
    """Income can leave only after it has stood this long (room for refunds and disputes)."""
    min_interval_seconds: Annotated[int, Field(ge=0, le=31 * _DAY)] = _DAY
    """Least time between two payouts of one payee and currency."""
    minimum_amount: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    minimums: dict[Currency, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """The same by currency, where banks ask for more."""
    destination_cooling_seconds: Annotated[int, Field(ge=0, le=30 * _DAY)] = _DAY
    """A destination that replaces another one gets no money for so long: whoever takes an account over changes that first."""
    review_amounts: dict[Currency, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """By currency: a payout above it is held until an operator has looked at it. Without an entry none is."""
    review_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    """A held payout that nobody has decided about for so long is sent."""
    new_payee_seconds: Annotated[int, Field(ge=0, le=365 * _DAY)] = 90 * _DAY
    """So long after their first income somebody is a new payee."""
    reserve_basis_points: BasisPoints = 1_000
    """Share of a new payee's latest income that stays for refunds and disputes (Etsy, PayPal: rolling reserve)."""
    reserve_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 30 * _DAY
    """For how long each income counts towards the reserve."""
    silence_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """A bank that has not answered for this long calls the operators; asking goes on."""
    verifying_providers: tuple[str, ...] = ()
    """Codes of payment companies that pay nobody whom they have not verified."""
    short_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _DAY
    """Within so long somebody fills our balance at the provider when payouts wait for it."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    poll_longest_seconds: Annotated[int, Field(ge=1, le=7 * _DAY)] = _DAY

    def minimum(self, currency: Currency) -> int:
        """The least that is paid out in this currency, minor units."""
        return self.minimums.get(currency, self.minimum_amount)

    @property
    def review(self) -> timedelta:
        """How long a held payout waits for an operator."""
        return timedelta(seconds=self.review_seconds)

    @property
    def silence(self) -> timedelta:
        """How long a bank may be silent."""
        return timedelta(seconds=self.silence_seconds)

    @property
    def poll(self) -> Backoff:
        """When to look at the provider."""
        return Backoff(first=self.poll_first_seconds, longest=self.poll_longest_seconds)
