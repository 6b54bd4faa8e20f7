"""The pages for people, in HTML and in a browser."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from providers.base import CardStatus, PaymentStatus
from tests.providers.conftest import MakeBox
from tests.providers.harness import Box, card_request, payment_request, payout_request
from tests.waiting import eventually

CHROMIUM = Path("/usr/bin/chromium")
NASTY = "<script>alert('灯')</script> & \"quotes\""


async def test_the_pay_page_escapes_and_shows_the_amount(box: Box) -> None:
    request = payment_request(123_456).model_copy(update={"description": NASTY})
    payment = await box.client.create_payment(request)
    page = await box.person.get(f"/pay/{payment.reference}")
    assert page.status_code == 200
    assert "CNY 1,234.56" in page.text
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    start = await box.person.get("/")
    assert "<script>" not in start.text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(5, "JPY", "JPY 5"), (1_234_567, "KWD", "KWD 1,234.567"), (9, "CNY", "CNY 0.09")],
)
async def test_amounts_have_the_currencys_decimals(
    box: Box, amount: int, currency: str, text: str
) -> None:
    payment = await box.client.create_payment(payment_request(amount, currency))
    assert f">{text}<" in (await box.person.get(payment.checkout_url)).text


async def test_paying_by_form_without_a_browser(box: Box) -> None:
    payment = await box.client.create_payment(payment_request())
    answer = await box.person.post(f"/pay/{payment.reference}", data={"action": "pay"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{payment.reference}")
    page = await box.person.get(f"/pay/{payment.reference}")
    assert "支付成功 Payment received" in page.text
    assert 'href="http://127.0.0.1/orders/1"' in page.text


async def test_paying_as_a_program_with_json(box: Box) -> None:
    payment = await box.client.create_payment(payment_request())
    headers = {"accept": "application/json"}
    answer = await box.person.post(
        f"/pay/{payment.reference}", json={"action": "pay"}, headers=headers
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "captured")
    for body in (b"", b"[]", b"{", b'{"action": "steal"}', b"[" * 50_000):
        answer = await box.person.post(
            f"/pay/{payment.reference}",
            content=body,
            headers={**headers, "content-type": "application/json"},
        )
        assert answer.status_code == 422
    unknown = await box.person.post("/pay/spay_none", data={"action": "pay"}, headers=headers)
    assert unknown.status_code == 404


async def test_closed_and_unknown_payments_have_pages(box: Box) -> None:
    payment = await box.client.create_payment(payment_request())
    await box.client.cancel_payment(payment.reference)
    page = await box.person.get(f"/pay/{payment.reference}")
    assert "This payment is closed" in page.text
    assert "<form" not in page.text
    late = await box.person.post(f"/pay/{payment.reference}", data={"action": "pay"})
    assert late.status_code == 409
    assert "This payment is closed" in late.text
    unknown = await box.person.get("/pay/spay_none")
    assert unknown.status_code == 404
    assert "no such payment" in unknown.text


async def test_the_card_page_speaks_both_languages_and_escapes(box: Box) -> None:
    request = card_request("JPY").model_copy(update={"description": NASTY})
    card = await box.client.save_card(request)
    page = await box.person.get(card.checkout_url)
    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text and "<script>" not in page.text
    assert "现在不扣款，以后才会以 JPY 扣款。" in page.text
    assert "Nothing is charged now; charges come later, in JPY." in page.text
    for button in ("保存此卡 Save card", "拒绝 Decline"):
        assert f">{button}</button>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    start = await box.person.get("/")
    assert "<script>" not in start.text and request.subject in start.text


async def test_saving_a_card_by_form_without_a_browser(box: Box) -> None:
    card = await box.client.save_card(card_request())
    for action, text in (
        ("decline", "未能保存，可以重试 Not saved, you can try again"),
        ("save", "✓ 银行卡已保存 Card saved"),
    ):
        answer = await box.person.post(f"/card/{card.reference}", data={"action": action})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/card/{card.reference}")
        assert text in (await box.person.get(card.checkout_url)).text
    page = await box.person.get(card.checkout_url)
    assert 'href="http://127.0.0.1/pledges/1"' in page.text
    assert "<form" not in page.text


async def test_saving_a_card_as_a_program_with_json(box: Box) -> None:
    card = await box.client.save_card(card_request())
    path, headers = f"/card/{card.reference}", {"accept": "application/json"}
    for body in (b"", b"[]", b"{", b'{"action": "pay"}', b"[" * 50_000):
        given = {**headers, "content-type": "application/json"}
        assert (await box.person.post(path, content=body, headers=given)).status_code == 422
    answer = await box.person.post(path, json={"action": "save"}, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "saved")
    assert answer.json()["checkout_url"] == card.checkout_url
    unknown = await box.person.post("/card/scrd_none", data={"action": "save"}, headers=headers)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_closed_and_unknown_card_pages(box: Box) -> None:
    card = await box.client.save_card(card_request())
    await box.client.close_card(card.reference)
    page = await box.person.get(card.checkout_url)
    assert "此页面已关闭 This page is closed" in page.text
    assert "<form" not in page.text and "Nothing is charged" not in page.text
    late = await box.person.post(f"/card/{card.reference}", data={"action": "save"})
    assert (late.status_code, "This page is closed" in late.text) == (409, True)
    unknown = await box.person.get("/card/scrd_none")
    assert (unknown.status_code, "找不到此页面" in unknown.text) == (404, True)


async def test_forms_of_other_sites_are_refused(box: Box) -> None:
    payment = await box.client.create_payment(payment_request())
    answer = await box.person.post(
        f"/pay/{payment.reference}",
        data={"action": "pay"},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert answer.status_code == 403
    assert (await box.client.get_payment(payment.reference)).status is PaymentStatus.OPEN
    card = await box.client.save_card(card_request())
    answer = await box.person.post(
        f"/card/{card.reference}",
        data={"action": "save"},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert answer.status_code == 403
    assert [each.status for each in await box.client.get_cards([card.reference])] == [
        CardStatus.OPEN
    ]


async def test_a_link_from_the_shop_opens_the_pay_page(box: Box) -> None:
    payment = await box.client.create_payment(payment_request())
    answer = await box.person.get(
        f"/pay/{payment.reference}", headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 200


async def test_the_start_page_drives_everything(make_box: MakeBox) -> None:
    async with make_box(payout_seconds=3_600) as box:
        await box.paid()
        sent = await box.client.create_payout(payout_request(1_000))
        switch = {
            "what": "webhook:drop",
            "times": "2",
            "seconds": "",
            "event": "payout.paid",
            "percent": "100",
        }
        assert (await box.person.post("/ui/behaviours", data=switch)).status_code == 303
        move = {"to": "paid"}
        await box.person.post(f"/ui/payouts/{sent.reference}", data=move)
        [dropped] = await box.deliveries(sent.subject)
        assert dropped["state"] == "dropped"
        await box.person.post(f"/ui/deliveries/{dropped['id']}")
        await box.platform.expect(sent.subject, "payout.paid")
        parcel = {"tracking_number": "SF-9", "label_paid_by": "seller"}
        await box.person.post("/ui/parcels", data=parcel)
        await box.person.post("/ui/parcels/SF-9", data={"kind": "delivered"})
        page = await box.person.get("/")
        for text in (
            "CNY 89.40",
            "webhook: drop",
            sent.subject,
            "SF-9",
            "delivered",
            "payout.paid",
        ):
            assert text in page.text
        [behaviour] = (await box.control.get("/v1/behaviours")).json()["data"]
        await box.person.post(f"/ui/behaviours/{behaviour['id']}/off")
        assert (await box.control.get("/v1/behaviours")).json()["data"] == []
        bad = await box.person.post("/ui/behaviours", data={"what": "x", "times": "many"})
        assert bad.status_code == 422


@pytest_asyncio.fixture
async def browser_page() -> AsyncIterator[Page]:
    """A phone-sized page of a real browser."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page(viewport={"width": 390, "height": 780})
        yield page
        await browser.close()


async def test_a_person_declines_then_pays_and_saves_a_card(
    box: Box, browser_page: Page, tmp_path: Path
) -> None:
    request = payment_request(128_800).model_copy(
        update={"return_url": f"{box.platform.url}/orders/1"}
    )
    payment = await box.client.create_payment(request)
    asked: list[str] = []
    browser_page.on("request", lambda sent: asked.append(sent.url))
    await browser_page.goto(payment.checkout_url)
    await shoot(browser_page, tmp_path, "open")
    assert await browser_page.get_by_text("CNY 1,288.00").is_visible()
    await browser_page.get_by_role("button", name="Decline").click()
    await browser_page.get_by_role("alert").wait_for()
    await shoot(browser_page, tmp_path, "declined")
    await browser_page.get_by_role("button", name="Pay").click()
    await browser_page.get_by_role("status").wait_for()
    await shoot(browser_page, tmp_path, "paid")
    back = browser_page.get_by_role("link", name="Back to shop")
    assert await back.get_attribute("href") == request.return_url
    await stays_on_a_phone(browser_page)
    await box.platform.expect(payment.subject, "payment.declined", "payment.captured")

    card = await box.client.save_card(card_request())
    await browser_page.goto(card.checkout_url)
    await shoot(browser_page, tmp_path, "card")
    await browser_page.get_by_role("button", name="Decline").click()
    await browser_page.get_by_role("alert").wait_for()
    await browser_page.get_by_role("button", name="Save card").click()
    await browser_page.get_by_role("status").wait_for()
    await stays_on_a_phone(browser_page)
    await box.platform.expect(card.subject, "card.declined", "card.saved")
    assert all(url.startswith(box.url) for url in asked), "no outside resources"


async def stays_on_a_phone(page: Page) -> None:
    """Fails when there is something to scroll sideways."""
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_person_switches_a_misbehaviour_on(
    box: Box, browser_page: Page, tmp_path: Path
) -> None:
    await box.paid(1_288_000)
    await box.client.create_payout(payout_request(5_000))
    await eventually(lambda: len(box.platform.received) == 2)
    await browser_page.set_viewport_size({"width": 1_280, "height": 900})
    await browser_page.goto(box.url)
    await browser_page.get_by_label("Misbehave").select_option("payment:decline")
    await browser_page.get_by_label("Times").fill("2")
    await browser_page.get_by_role("button", name="Switch on").click()
    await browser_page.get_by_role("cell", name="payment: decline").wait_for()
    await browser_page.get_by_label("Tracking number").fill("SF-7")
    await browser_page.get_by_role("button", name="Register").click()
    await browser_page.get_by_role("button", name="Delivered").click()
    await browser_page.get_by_role("cell", name="parcel.delivered").wait_for()
    await shoot(browser_page, tmp_path, "start")
    [behaviour] = (await box.control.get("/v1/behaviours")).json()["data"]
    assert (behaviour["effect"], behaviour["times_left"]) == ("decline", 2)


async def shoot(page: Page, folder: Path, name: str) -> None:
    """Keeps a picture where BAIGONG_TEST_ARTIFACTS says, for people who want to look."""
    kept = Path(os.environ.get("BAIGONG_TEST_ARTIFACTS", folder))
    await page.screenshot(path=kept / f"sandbox-{name}.png", full_page=True)
