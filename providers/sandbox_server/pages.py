"""The pages for people: the hosted pay page and the start page with its switches. No API key."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError

from providers.sandbox_server import behaviours, events, parcels, payments, payouts
from providers.sandbox_server.html import (
    Html,
    button,
    form,
    join,
    money,
    page,
)
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import (
    AdvancePayout,
    Body,
    NewBehaviour,
    NewParcel,
    NewScan,
    Payment,
)
from providers.sandbox_server.startpage import start_page
from providers.sandbox_server.web import Running

Action = Literal["pay", "decline"]
Model = TypeVar("Model", bound=Body)
_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


def refuse_other_sites(request: Request) -> None:
    """A form on somebody else's page must not press our buttons; a link there may open our pages."""
    site = request.headers.get("sec-fetch-site", "none")
    if request.method == "POST" and site not in ("none", "same-origin"):
        raise Problem(403, "cross_site", "this form was sent from another site")


router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_other_sites)])


@router.get("/pay/{reference}")
async def show_payment(reference: str, box: Running) -> Response:
    """The hosted pay page."""
    try:
        with box.store.reading() as tx:
            payment = payments.get(tx, reference)
    except Problem as problem:
        return _pay_problem(problem)
    return _pay_page(payment)


@router.post("/pay/{reference}")
async def try_payment(reference: str, request: Request, box: Running) -> Response:
    """One attempt of the payer. Programs that accept JSON get the payment: 200, or 402 when declined."""
    wants_json = "application/json" in request.headers.get("accept", "")
    try:
        action = await _action(request)
        with box.store.transaction() as tx:
            if action == "pay":
                payment = payments.pay(tx, reference)
            else:
                payment = payments.decline_attempt(tx, reference, payments.PAYER_DECLINED)
    except Problem as problem:
        if wants_json:
            raise
        return _pay_problem(problem)
    if wants_json:
        declined = action == "pay" and payment.status != "captured"
        body = box.view(payment).model_dump(mode="json")
        return JSONResponse(body, status_code=402 if declined else 200)
    return RedirectResponse(f"/pay/{payment.reference}", status_code=303)


async def _action(request: Request) -> Action:
    try:
        if "application/json" in request.headers.get("content-type", ""):
            body = await request.json()
            return _ACTION.validate_python(body.get("action") if isinstance(body, dict) else None)
        return _ACTION.validate_python((await request.form()).get("action"))
    except (ValueError, RecursionError) as error:
        raise Problem(422, "invalid_request", "action must be pay or decline") from error


def _pay_page(payment: Payment) -> Response:
    parts = [
        Html('<p class="soft">Sandbox 沙盒支付 · 测试环境，不会真实扣款 / play money only</p>'),
        Html('<h1 class="text">{}</h1>').format(payment.description),
        Html('<div class="amount">{}</div>').format(money(payment.amount, payment.currency)),
        _notice(payment),
    ]
    if payment.status == "open":
        parts.append(
            form(
                f"/pay/{payment.reference}",
                "wide",
                button("支付 Pay", name="action", value="pay", primary=True),
                button("拒绝 Decline", name="action", value="decline"),
            )
        )
    else:
        parts.append(
            Html(
                '<a class="button go wide" href="{}" rel="noreferrer">返回商家 Back to shop</a>'
            ).format(payment.return_url)
        )
    body = Html('<section class="card">{}</section>').format(join(parts))
    return page("支付 Pay", body, narrow=True)


def _notice(payment: Payment) -> Html:
    if payment.status == "captured":
        return Html('<p class="note good" role="status">✓ 支付成功 Payment received</p>')
    if payment.status == "canceled":
        return Html('<p class="note bad" role="status">订单已关闭 This payment is closed</p>')
    if payment.decline_reason:
        return Html(
            '<p class="note bad" role="alert">支付未成功，可以重试 Not paid, you can try again'
            "<br><code>{}</code></p>"
        ).format(payment.decline_reason)
    return Html("")


def _pay_problem(problem: Problem) -> Response:
    texts = {
        404: "找不到该支付 There is no such payment",
        409: "订单已关闭 This payment is closed",
    }
    body = Html(
        '<section class="card"><h1>Sandbox 沙盒支付</h1>'
        '<p class="note bad" role="alert">{}</p></section>'
    ).format(texts.get(problem.status, problem.detail))
    return page("支付 Pay", body, narrow=True, status=problem.status)


@router.get("/")
async def show_start(box: Running) -> Response:
    """What this is, what it holds, and its switches."""
    with box.store.reading() as tx:
        return start_page(box, tx)


def _back() -> Response:
    return RedirectResponse("/", status_code=303)


async def _fields(request: Request) -> dict[str, str]:
    """The filled-in fields of a form; empty ones count as left out."""
    sent = await request.form()
    return {name: value for name, value in sent.items() if isinstance(value, str) and value}


Fields = Annotated[dict[str, str], Depends(_fields)]


def _read(kind: type[Model], fields: dict[str, str]) -> Model:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(422, "invalid_request", f"{where}: {first['msg']}") from error


@router.post("/ui/behaviours")
async def switch_on(fields: Fields, box: Running) -> Response:
    """Switches a misbehaviour on; the drop-down sends operation and effect as one value."""
    operation, _, effect = fields.pop("what", "").partition(":")
    wish = _read(NewBehaviour, {**fields, "operation": operation, "effect": effect})
    with box.store.transaction() as tx:
        behaviours.add(tx, wish)
    return _back()


@router.post("/ui/behaviours/{behaviour_id}/off")
async def switch_off(behaviour_id: int, box: Running) -> Response:
    """Switches a misbehaviour off."""
    with box.store.transaction() as tx:
        behaviours.remove(tx, behaviour_id)
    return _back()


@router.post("/ui/payouts/{reference}")
async def move_payout(reference: str, fields: Fields, box: Running) -> Response:
    """Plays the payee's bank."""
    step = _read(AdvancePayout, fields)
    with box.store.transaction() as tx:
        payouts.advance(tx, reference, step)
    return _back()


@router.post("/ui/deliveries/{delivery_id}")
async def send_again(delivery_id: int, box: Running) -> Response:
    """Sends a webhook again."""
    with box.store.transaction() as tx:
        events.redeliver(tx, delivery_id)
    return _back()


@router.post("/ui/parcels")
async def hand_over(fields: Fields, box: Running) -> Response:
    """Registers a parcel."""
    wish = _read(NewParcel, fields)
    with box.store.transaction() as tx:
        parcels.register(tx, wish)
    return _back()


@router.post("/ui/parcels/{tracking_number}")
async def scan_by_hand(tracking_number: str, fields: Fields, box: Running) -> Response:
    """Scans a parcel."""
    wish = _read(NewScan, fields)
    with box.store.transaction() as tx:
        parcels.scan(tx, tracking_number, wish)
    return _back()
