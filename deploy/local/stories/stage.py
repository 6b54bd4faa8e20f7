"""What every story needs: people with tokens, a front end's requests, and a provider's page to press buttons on."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import httpx
from PIL import Image
from pydantic import BaseModel, ConfigDict, TypeAdapter

from deploy.local.errors import LocalError
from deploy.local.secrets import shared_secrets
from runtime.settings import Settings

_LOOK_EVERY_SECONDS = 0.2
_TRIES = 25


class Shown(BaseModel):
    """A part of an answer that a story reads; a front end ignores what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Amount(Shown):
    """Money in an answer."""

    amount: int
    text: str


class Checkout(Shown):
    """Where to pay."""

    id: str
    checkout_url: str | None


class ShownSale(Shown):
    """A sale in an answer."""

    id: str
    phase: str
    seller_id: str
    buyer_id: str
    total: Amount
    payment: Checkout


class ShownCart(Shown):
    """An order of several sellers in an answer."""

    id: str
    total: Amount
    payment: Checkout
    sales: list[ShownSale]


class ShownParty(Shown):
    """What somebody would get."""

    gets: Amount


class ShownUnwind(Shown):
    """What would happen if a path were called off now."""

    who: list[ShownParty]


class ShownEnd(Shown):
    """Whether a path has closed."""

    closed_at: str | None


class ShownReturn(Shown):
    """A return in an answer."""

    id: str
    phase: str
    total: Amount
    refunded: Amount


class ShownDispute(Shown):
    """A dispute in an answer."""

    id: str
    phase: str
    amount: Amount
    refunded: Amount
    fee: Amount


class ShownBalance(Shown):
    """What somebody and the platform owe each other."""

    receivable: Amount


class ShownMovement(Shown):
    """Something at the payment company."""

    reference: str
    subject: str = ""


class ShownMovements(Shown):
    """A list of it."""

    data: list[ShownMovement]


class ShownPrize(Shown):
    """A prize in an answer."""

    entry_id: str | None


class ShownLicence(Shown):
    """The text that both sides sign, by its hash."""

    sha256: str


class ShownContest(Shown):
    """A contest in an answer."""

    id: str
    phase: str
    bounty: Amount
    prizes: list[ShownPrize]
    licence: ShownLicence
    payment: Checkout | None
    ballot_id: str | None


class ShownMilestone(Shown):
    """A milestone in an answer."""

    id: str = "milestone"
    state: str
    payment: Checkout | None


class ShownTender(Shown):
    """A tender in an answer."""

    id: str
    phase: str
    payment: Checkout | None
    milestones: list[ShownMilestone]


class ShownOrder(Shown):
    """A production order in an answer."""

    id: str
    phase: str
    to_fund: Amount
    payment: Checkout | None
    closed_at: str | None


class ShownLot(Shown):
    """A lot in an answer."""

    id: str
    phase: str
    units: int
    deposit: Amount
    payment: Checkout | None
    inspection_id: str | None
    closed_at: str | None


Payable = (
    ShownSale | ShownCart | ShownContest | ShownTender | ShownMilestone | ShownOrder | ShownLot
)
"""What has a payment to be made."""


class ShownReceipt(Shown):
    """A pending timer in an answer."""

    name: str
    outcome: str


class ShownReceipts(Shown):
    """The pending timers of a path."""

    deadlines: list[ShownReceipt]


class ShownEvent(Shown):
    """One line of a timeline."""

    at: str
    actor: str
    summary: str
    phase: str


class ShownAccount(Shown):
    """An account of a path."""

    account: str
    balance: Amount
    pending_in: Amount
    pending_out: Amount


class ShownTotal(Shown):
    """A line of the trial balance."""

    kind: str
    currency: str
    accounts: int
    debits: Amount
    credits: Amount
    balance: Amount


class ShownPayout(Shown):
    """A payout in an answer."""

    id: str
    status: str
    amount: Amount


class Anything(Shown):
    """An answer of which only matters that it came."""


class Id(Shown):
    """Anything with an id."""

    id: str


Seen = TypeVar("Seen")
Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Person:
    """Somebody with a token, at their own front end."""

    name: str
    http: httpx.Client

    def get(self, path: str, shown: type[Model], **params: str | int) -> Model:
        """Reads one thing."""
        return shown.model_validate(_content(self.http.get(path, params=params)))

    def get_list(self, path: str, shown: type[Model], **params: str | int) -> list[Model]:
        """Reads a list, or the items of a page."""
        content = _content(self.http.get(path, params=params))
        items = content["items"] if isinstance(content, dict) else content
        return TypeAdapter(list[shown]).validate_python(items)  # type: ignore[valid-type]

    def post(self, path: str, shown: type[Model], body: object = None) -> Model:
        """Does something, once; what is not to be had for a moment is asked for again with the same key."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        for _ in range(_TRIES):
            answer = self.http.post(path, json={} if body is None else body, headers=key)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(_LOOK_EVERY_SECONDS)
        return shown.model_validate(_content(answer))

    def refused(self, path: str, body: object) -> str:
        """Tries something that must be refused; the problem's code."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self.http.post(path, json=body, headers=key)
        if answer.status_code < 400:
            raise LocalError(f"{path} was accepted, but should have been refused")
        return str(answer.json()["code"])

    def upload_picture(self, color: str, *, private: bool = False) -> str:
        """Uploads a small picture; its id."""
        png = io.BytesIO()
        Image.new("RGB", (64, 48), color).save(png, "PNG")
        answer = self.http.post(
            f"/v1/files?private={str(private).lower()}",
            files={"file": ("lamp.png", png.getvalue(), "image/png")},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        return Id.model_validate(_content(answer)).id


@dataclass
class Stage:
    """The running platform, seen from outside."""

    settings: Settings
    say: Callable[[str], None]
    ended: list[tuple[str, str]] = field(default_factory=list)
    """Title and id of every path that a story has brought to its end."""
    troupe: str = ""
    """What is added to the names under which people sign in, so that stages beside each other share nobody."""
    pace: int = 1
    """How many times longer windows are than in a demonstration on a machine that does nothing else."""
    patience_seconds: float = 60
    """How long anything may take."""
    transport: httpx.BaseTransport | None = None
    """How requests travel; the ordinary way when none is given."""
    _people: dict[str, Person] = field(default_factory=dict)

    @cached_property
    def web(self) -> httpx.Client:
        """A browser without anybody's token: for the pages of the provider, and for the carrier."""
        headers = {"accept": "application/json"}
        return httpx.Client(transport=self.transport, headers=headers, timeout=30)

    def person(self, name: str) -> Person:
        """Somebody who signs in with the local issuer; there is one administrator for all stages."""
        if name not in self._people:
            sign_in = {"username": name if name == "admin" else f"{name}{self.troupe}"}
            answer = self.web.post(f"{self.settings.issuer_url}/token", data=sign_in)
            token = answer.raise_for_status().json()["access_token"]
            http = httpx.Client(
                base_url=self.settings.api_url,
                headers={"Authorization": f"Bearer {token}"},
                transport=self.transport,
                timeout=30,
            )
            self._people[name] = Person(name, http)
        return self._people[name]

    def pay(self, path: Payable) -> None:
        """Presses "pay" on the provider's page."""
        if path.payment is None or path.payment.checkout_url is None:
            raise LocalError(f"{path.id} has no page to pay")
        self.press(path.payment.checkout_url, "pay")

    def press(self, page: str, action: str) -> None:
        """Presses a button on a page of the provider."""
        self.web.post(page, data={"action": action}).raise_for_status()

    def scan(self, tracking_number: str, kind: str) -> None:
        """The carrier scans a parcel."""
        base = f"{self.settings.sandbox_base_url}/carrier/parcels"
        parcel = {"tracking_number": tracking_number, "label_paid_by": "seller"}
        self.web.post(base, json=parcel).raise_for_status()
        self.web.post(f"{base}/{tracking_number}/scans", json={"kind": kind}).raise_for_status()

    def bank_takes_back(self, sale: ShownSale) -> str:
        """The buyer's bank opens a chargeback; the payment company's name of it."""
        payment = self._movement("payments", sale.payment.id)
        # What is there is read, not what the answer says: the first try may have been answered to nobody.
        self._provider.post(f"/v1/payments/{payment}/dispute", json={})
        listed = self._provider.get("/v1/disputes", params={"payment_reference": payment})
        return ShownMovements.model_validate(_content(listed)).data[0].reference

    def bank_decides(self, dispute: str, *, won: bool) -> None:
        """The bank's verdict; saying it again changes nothing."""
        _content(self._provider.post(f"/v1/disputes/{dispute}/close", json={"won": won}))

    def bank_returns(self, payout: ShownPayout) -> None:
        """The payee's bank sends a payout back that had arrived."""
        reference = self._movement("payouts", payout.id)
        step = {"to": "returned", "reason": "account_closed"}
        _content(self._provider.post(f"/v1/payouts/{reference}/advance", json=step))

    def _movement(self, kind: str, subject: str) -> str:
        """The payment company's name of what is called `subject` here; LocalError when it is not among the newest."""
        listed = _content(self._provider.get(f"/v1/{kind}", params={"limit": 100}))
        for each in ShownMovements.model_validate(listed).data:
            if each.subject == subject:
                return each.reference
        raise LocalError(f"the provider does not show {subject} among its newest {kind}")

    @cached_property
    def _provider(self) -> httpx.Client:
        """The sandbox provider, as only who holds its key may tell it what to do."""
        key = self.settings.sandbox_api_key.get_secret_value()
        if "sandbox_api_key" not in self.settings.model_fields_set:
            key = shared_secrets(self.settings.data_dir)["BAIGONG_SANDBOX_API_KEY"]
        return httpx.Client(
            base_url=self.settings.sandbox_base_url,
            headers={"Authorization": f"Bearer {key}"},
            transport=self.transport,
            timeout=30,
        )

    def until(self, look: Callable[[], Seen], done: Callable[[Seen], bool], what: str) -> Seen:
        """Looks again and again, as a front end does, until it is done. Raises LocalError when patience ends."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            seen = look()
            if done(seen):
                return seen
            if time.monotonic() > deadline:
                waited = f"still waiting after {self.patience_seconds:.0f} s"
                raise LocalError(f"{waited}: {what}; last seen {seen}")
            time.sleep(_LOOK_EVERY_SECONDS)

    def until_phase(self, person: Person, sale: ShownSale, phase: str) -> ShownSale:
        """Waits until the sale stands in this phase."""
        return self.until(
            lambda: person.get(f"/v1/sales/{sale.id}", ShownSale),
            lambda seen: seen.phase == phase,
            f"{sale.id} becomes {phase}",
        )


def _content(answer: httpx.Response) -> object:
    if answer.status_code >= 400:
        request = f"{answer.request.method} {answer.request.url.path}"
        raise LocalError(f"{request} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()
