"""What a new user does: the README's tour and a look into the Temporal UI; `.ci/fresh-clone` plays the demo."""

from __future__ import annotations

import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from deploy.local.profile import PROJECT
from deploy.local.stories import production
from deploy.local.stories import sale as stories
from deploy.local.stories.stage import Id, ShownContest, ShownOrder, ShownSale, Stage
from runtime.settings import Settings
from tests.platform.conftest import RunningPlatform
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("platform")
"""One worker starts the platform for all of them."""

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def test_the_tour_of_the_readme_and_the_api_guide_run(platform: RunningPlatform) -> None:
    """Every block that is marked so, as a person would paste it; both at the same time."""
    with ThreadPoolExecutor() as pool:
        tour = pool.submit(_runs, platform, PROJECT / "README.md", "sh tour")
        guide = pool.submit(_runs, platform, PROJECT / "docs" / "api.md", "sh api")
    assert '"phase":"completed"' in tour.result()
    for path in "sal rtn dsp ten bal mtc cmp ink prd lot".split():
        assert f'"{path}_' in guide.result(), f"no example of {path}"


def _runs(platform: RunningPlatform, page: Path, mark: str) -> str:
    """What the blocks of a page print; they must succeed."""
    blocks = re.findall(
        rf"^```{mark}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) >= 6
    where = f"API={platform.url('API')} SANDBOX={platform.url('SANDBOX')}\n"
    done = platform.run("bash", "-euo", "pipefail", "-s", text=where + "".join(blocks))
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return done.stdout


def test_the_demo_says_when_nothing_runs(platform: RunningPlatform) -> None:
    elsewhere = RunningPlatform({**platform.environment, "BAIGONG_API_PORT": "1"}, platform.output)
    demo = elsewhere.run(sys.executable, "-m", "deploy.local.demo")
    assert demo.returncode == 1
    [line] = demo.stderr.splitlines()
    assert "make up" in line


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
async def test_an_operator_reads_a_sale_in_the_temporal_ui(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    sale = _accepted_sale(platform)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport={"width": 1_500, "height": 1_400})
        address = f"{platform.url('TEMPORAL_UI')}/namespaces/default/workflows"
        await _finds_it_in_the_list(page, address, sale)
        await page.goto(f"{address}/sale-{sale.id}")
        timer = "CNY 200.00: deadlines are looked at"
        await expect(page.locator("body")).to_contain_text(timer, timeout=30_000)
        await page.get_by_text("User Metadata").click()
        for words in (
            "CNY 200.00: 1 x",
            "accepted: waiting for the seller to ship",
            "Amount: CNY 200.00",
            "Next deadline: shipment",
            "If nothing comes: The order is cancelled and the buyer gets everything back.",
        ):
            await eventually(partial(_shows, page, words), within_seconds=30, what=words)
        await page.screenshot(path=tmp_path / "sale.png", full_page=True)
        await browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
async def test_an_operator_reads_a_contest_in_the_temporal_ui(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    """Phase, days left, and what silence will do."""
    contest = _open_contest(platform)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport={"width": 1_500, "height": 1_400})
        address = f"{platform.url('TEMPORAL_UI')}/namespaces/default/workflows"
        await page.goto(f"{address}/contest-{contest.id}")
        timer = "A mark for a tea house, CNY 1,000.00: entries ends"
        await expect(page.locator("body")).to_contain_text(timer, timeout=30_000)
        await page.get_by_text("User Metadata").click()
        for words in (
            "CNY 1,000.00: A mark for a tea house",
            "open",
            "(7 days left on ",
            "If nothing comes: Entries close and the owner chooses; without a single valid entry the owner gets "
            "everything back.",
            "Bounty: CNY 1,000.00, guaranteed, sealed entries",
        ):
            await eventually(partial(_shows, page, words), within_seconds=30, what=words)
        await page.screenshot(path=tmp_path / "contest.png", full_page=True)
        await browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
async def test_an_operator_reads_a_production_order_in_the_temporal_ui(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    """Where the units are."""
    order = _published_order(platform)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(viewport={"width": 1_500, "height": 1_400})
        address = f"{platform.url('TEMPORAL_UI')}/namespaces/default/workflows"
        await page.goto(f"{address}/production-{order.id}")
        await page.get_by_text("User Metadata").click(timeout=60_000)
        for words in (
            "published",
            "Units: 40, of which 40 open",
            "Wages: CNY 30.00 for each accepted unit",
        ):
            await eventually(partial(_shows, page, words), within_seconds=30, what=words)
        await page.screenshot(path=tmp_path / "production.png", full_page=True)
        await browser.close()


def _published_order(platform: RunningPlatform) -> ShownOrder:
    """An order of which lots can be claimed."""
    stage = _stage(platform)
    requester = stage.person("hua")
    body = {**production.ORDER, "certifier_fee": 0}
    draft = requester.post("/v1/production-orders", ShownOrder, body)
    stage.pay(requester.post(f"/v1/production-orders/{draft.id}/fund", ShownOrder))
    return stage.until(
        lambda: requester.get(f"/v1/production-orders/{draft.id}", ShownOrder),
        lambda seen: seen.phase == "published",
        "the order is published",
    )


def _open_contest(platform: RunningPlatform) -> ShownContest:
    """A contest with the platform's own windows that takes entries."""
    stage = _stage(platform)
    owner = stage.person("hua")
    body = {"title": "A mark for a tea house", "bounty": {"amount": 100_000}}
    draft = owner.post("/v1/contests", ShownContest, body)
    signed = {"licence_sha256": draft.licence.sha256}
    stage.pay(owner.post(f"/v1/contests/{draft.id}/fund", ShownContest, signed))
    return stage.until(
        lambda: owner.get(f"/v1/contests/{draft.id}", ShownContest),
        lambda seen: seen.phase == "open",
        "the contest opens",
    )


async def _shows(page: Page, words: str) -> bool:
    """Whether the words stand anywhere on the page; the UI shows markdown in frames of its own."""
    texts = [await frame.locator("body").inner_text() for frame in page.frames]
    return any(words in text for text in texts)


async def _finds_it_in_the_list(page: Page, address: str, sale: ShownSale) -> None:
    """The list can be filtered by phase."""
    await page.goto(f'{address}?query=Phase%3D"accepted"')
    await expect(page.locator("body")).to_contain_text(f"sale-{sale.id}", timeout=30_000)


def _accepted_sale(platform: RunningPlatform) -> ShownSale:
    """A sale that waits for its shipment."""
    stage = _stage(platform)
    maker, buyer = stage.person("hua"), stage.person("jun")
    lamp = maker.post("/v1/listings", Id, stories.LAMP)
    sale = buyer.post("/v1/sales", ShownSale, {"lines": [{"listing_id": lamp.id}]})
    stage.pay(sale)
    stage.until_phase(buyer, sale, "paid")
    return maker.post(f"/v1/sales/{sale.id}/accept", ShownSale)


def _stage(platform: RunningPlatform) -> Stage:
    """The running platform, seen from a front end."""
    settings = Settings(
        api_port=int(platform.environment["BAIGONG_API_PORT"]),
        issuer_port=int(platform.environment["BAIGONG_ISSUER_PORT"]),
        sandbox_port=int(platform.environment["BAIGONG_SANDBOX_PORT"]),
    )
    return Stage(settings, say=lambda words: None)
