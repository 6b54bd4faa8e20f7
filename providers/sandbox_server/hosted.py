"""The hosted pages on which people pay, save a card for later, or confirm a payout. No API key; programs may press the buttons too."""

from __future__ import annotations

from typing import Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter

from providers.sandbox_server import cards, payees, payments, payouts
from providers.sandbox_server.html import Html, button, form, join, money, page
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import AdvancePayee, Card, Payment, Payout
from providers.sandbox_server.web import Running, json_response

PayAction = Literal["pay", "decline"]
CardAction = Literal["save", "decline"]
PayoutAction = Literal["confirm", "decline"]
Action = TypeVar("Action", PayAction, CardAction, PayoutAction)
_PAY: TypeAdapter[PayAction] = TypeAdapter(PayAction)
_CARD: TypeAdapter[CardAction] = TypeAdapter(CardAction)
_PAYOUT: TypeAdapter[PayoutAction] = TypeAdapter(PayoutAction)


async def refuse_other_sites(request: Request) -> None:
    """A form on somebody else's page must not press our buttons; a link there may open our pages."""
    site = request.headers.get("sec-fetch-site", "none")
    if request.method == "POST" and site not in ("none", "same-origin"):
        raise Problem(403, "cross_site", "this form was sent from another site")


router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_other_sites)])


@router.get("/pay/{reference}")
async def show_payment(reference: str, box: Running) -> Response:
    """The pay page."""
    try:
        with box.store.reading() as tx:
            payment = payments.get(tx, reference)
    except Problem as problem:
        return _pay_problem(problem)
    return _pay_page(payment)


@router.post("/pay/{reference}")
async def try_payment(reference: str, request: Request, box: Running) -> Response:
    """One attempt of the payer. Programs that accept JSON get the payment: 200, or 402 when declined."""
    try:
        action = await _action(request, _PAY, "action must be pay or decline")
        with box.store.transaction() as tx:
            if action == "pay":
                payment = payments.pay(tx, reference)
            else:
                payment = payments.decline_attempt(tx, reference, payments.PAYER_DECLINED)
    except Problem as problem:
        if _wants_json(request):
            raise
        return _pay_problem(problem)
    if _wants_json(request):
        declined = action == "pay" and payment.status != "captured"
        return json_response(box.view(payment), 402 if declined else 200)
    return RedirectResponse(f"/pay/{payment.reference}", status_code=303)


@router.get("/card/{reference}")
async def show_card(reference: str, box: Running) -> Response:
    """The page for saving a card."""
    try:
        with box.store.reading() as tx:
            card = cards.get(tx, reference)
    except Problem as problem:
        return _card_problem(problem)
    return _card_page(card)


@router.post("/card/{reference}")
async def try_card(reference: str, request: Request, box: Running) -> Response:
    """One try of the card's holder. Programs that accept JSON get the card: 200, or 402 when declined."""
    try:
        action = await _action(request, _CARD, "action must be save or decline")
        with box.store.transaction() as tx:
            if action == "save":
                card = cards.save(tx, reference)
            else:
                card = cards.decline(tx, reference, cards.HOLDER_DECLINED)
    except Problem as problem:
        if _wants_json(request):
            raise
        return _card_problem(problem)
    if _wants_json(request):
        declined = action == "save" and card.status != "saved"
        return json_response(box.card_view(card), 402 if declined else 200)
    return RedirectResponse(f"/card/{card.reference}", status_code=303)


@router.get("/payout/{reference}")
async def show_payout(reference: str, box: Running) -> Response:
    """The page on which a payee confirms a payout."""
    try:
        with box.store.reading() as tx:
            payout = payouts.get(tx, reference)
    except Problem as problem:
        return _payout_problem(problem)
    return _payout_page(payout)


@router.post("/payout/{reference}")
async def answer_payout(reference: str, request: Request, box: Running) -> Response:
    """The payee's word. Programs that accept JSON get the payout."""
    try:
        action = await _action(request, _PAYOUT, "action must be confirm or decline")
        with box.store.transaction() as tx:
            step = payouts.confirm if action == "confirm" else payouts.decline
            payout = step(tx, reference)
    except Problem as problem:
        if _wants_json(request):
            raise
        return _payout_problem(problem)
    if _wants_json(request):
        return json_response(payout)
    return RedirectResponse(f"/payout/{payout.reference}", status_code=303)


@router.get("/payee/{reference}")
async def show_payee(reference: str, box: Running) -> Response:
    """The page on which a payee proves who they are."""
    try:
        with box.store.reading() as tx:
            payee = payees.get(tx, reference)
    except Problem as problem:
        return _payout_problem(problem)
    done = _good("✓ 已认证 Verified")
    prove = form(f"/payee/{reference}", "wide", button("认证 Verify me", primary=True))
    return _page("认证 Verification", done if payee.status == "active" else prove)


@router.post("/payee/{reference}")
async def prove_payee(reference: str, box: Running) -> Response:
    """The payee has shown a document; who was rejected stays so."""
    try:
        with box.store.transaction() as tx:
            if payees.get(tx, reference).status != "rejected":
                payees.advance(tx, reference, AdvancePayee(to="active"))
    except Problem as problem:
        return _payout_problem(problem)
    return RedirectResponse(f"/payee/{reference}", status_code=303)


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


async def _action(request: Request, known: TypeAdapter[Action], otherwise: str) -> Action:
    try:
        if "application/json" in request.headers.get("content-type", ""):
            body = await request.json()
            return known.validate_python(body.get("action") if isinstance(body, dict) else None)
        return known.validate_python((await request.form()).get("action"))
    except (ValueError, RecursionError) as error:
        raise Problem(422, "invalid_request", otherwise) from error


def _pay_page(payment: Payment) -> Response:
    buttons = form(
        f"/pay/{payment.reference}",
        "wide",
        button("支付 Pay", name="action", value="pay", primary=True),
        button("拒绝 Decline", name="action", value="decline"),
    )
    return _page(
        "支付 Pay",
        Html('<h1 class="text">{}</h1>').format(payment.description),
        Html('<div class="amount">{}</div>').format(money(payment.amount, payment.currency)),
        _payment_notice(payment),
        buttons if payment.status == "open" else _way_back(payment.return_url),
    )


def _card_page(card: Card) -> Response:
    buttons = form(
        f"/card/{card.reference}",
        "wide",
        button("保存此卡 Save card", name="action", value="save", primary=True),
        button("拒绝 Decline", name="action", value="decline"),
    )
    promise = Html(
        "<p>现在不扣款，以后才会以 {} 扣款。<br>Nothing is charged now; charges come later, in {}.</p>"
    )
    return _page(
        "保存银行卡 Save a card",
        Html('<h1 class="text">{}</h1>').format(card.description),
        promise.format(card.currency, card.currency) if card.status != "canceled" else Html(""),
        _card_notice(card),
        buttons if card.status == "open" else _way_back(card.return_url),
    )


def _payout_page(payout: Payout) -> Response:
    buttons = form(
        f"/payout/{payout.reference}",
        "wide",
        button("确认收款 Confirm", name="action", value="confirm", primary=True),
        button("拒绝 Decline", name="action", value="decline"),
    )
    awaited = payout.status == "awaiting_payee"
    done = _bad("已关闭 Closed") if payout.status == "failed" else _good("✓ 已确认 Confirmed")
    return _page(
        "确认收款 Confirm a payout",
        Html('<h1 class="text">{}</h1>').format(payout.holder),
        Html('<div class="amount">{}</div>').format(money(payout.amount, payout.currency)),
        buttons if awaited else done,
    )


def _page(title: str, *parts: Html) -> Response:
    intro = Html('<p class="soft">Sandbox 沙盒支付 · 测试环境，不会真实扣款 / play money only</p>')
    body = Html('<section class="card">{}</section>').format(join((intro, *parts)))
    return page(title, body, narrow=True)


def _way_back(return_url: str) -> Html:
    return Html(
        '<a class="button go wide" href="{}" rel="noreferrer">返回商家 Back to shop</a>'
    ).format(return_url)


def _payment_notice(payment: Payment) -> Html:
    if payment.status == "captured":
        return _good("✓ 支付成功 Payment received")
    if payment.status == "canceled":
        return _bad("订单已关闭 This payment is closed")
    return _not_yet("支付未成功，可以重试 Not paid, you can try again", payment.decline_reason)


def _card_notice(card: Card) -> Html:
    if card.status == "saved":
        return _good("✓ 银行卡已保存 Card saved")
    if card.status == "canceled":
        return _bad("此页面已关闭 This page is closed")
    return _not_yet("未能保存，可以重试 Not saved, you can try again", card.decline_reason)


def _good(text: str) -> Html:
    return Html('<p class="note good" role="status">{}</p>').format(text)


def _bad(text: str) -> Html:
    return Html('<p class="note bad" role="status">{}</p>').format(text)


def _not_yet(text: str, reason: str | None) -> Html:
    if reason is None:
        return Html("")
    return Html('<p class="note bad" role="alert">{}<br><code>{}</code></p>').format(text, reason)


def _pay_problem(problem: Problem) -> Response:
    return _problem(
        "支付 Pay",
        problem,
        {404: "找不到该支付 There is no such payment", 409: "订单已关闭 This payment is closed"},
    )


def _card_problem(problem: Problem) -> Response:
    return _problem(
        "保存银行卡 Save a card",
        problem,
        {404: "找不到此页面 There is no such page", 409: "此页面已关闭 This page is closed"},
    )


def _payout_problem(problem: Problem) -> Response:
    return _problem(
        "确认收款 Confirm a payout",
        problem,
        {404: "找不到该打款 There is no such payout", 409: "已关闭 This payout is closed"},
    )


def _problem(title: str, problem: Problem, texts: dict[int, str]) -> Response:
    body = Html(
        '<section class="card"><h1>Sandbox 沙盒支付</h1>'
        '<p class="note bad" role="alert">{}</p></section>'
    ).format(texts.get(problem.status, problem.detail))
    return page(title, body, narrow=True, status=problem.status)
