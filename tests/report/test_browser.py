"""The page in a real browser, opened from disk: what it asks for, how it fits a phone, and its colours in the dark."""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from newsrec.report.page import write
from tests.conftest import unavailable
from tests.report import runs

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000
"""Milliseconds that a busy machine may take for a step."""
SIZES = {"phone": (360, 740), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium with an empty profile of its own."""
    program = shutil.which("chromium")
    if program is None:
        unavailable("chromium", "chromium not found; apt-get install chromium")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=FLAGS, timeout=PATIENCE)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with everything, of names and titles that do not fit."""
    root = tmp_path_factory.mktemp("site")
    runs.write_ledger(root, verdicts=7)
    study = runs.write_study(root / "study")
    write(root / "page.html", runs.run(root), study)
    return (root / "page.html").as_uri()


class Opened:
    """A page, and what it asked for and complained about."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.goto(address)

    def colour(self, selector: str, name: str = "color") -> tuple[float, ...]:
        found = self.page.locator(selector).first.evaluate(f"e => getComputedStyle(e).getPropertyValue('{name}')")
        return tuple(float(number) for number in re.findall(r"[\d.]+", found))


@pytest.fixture
def opened(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """The page on a phone in the light, or as the parameter says."""
    size, scheme = getattr(request, "param", ("phone", "light"))
    width, height = SIZES[size]
    viewport, mobile = {"width": width, "height": height}, size == "phone"
    context = browser.new_context(viewport=viewport, color_scheme=scheme, is_mobile=mobile, has_touch=mobile)
    context.set_default_timeout(PATIENCE)
    yield Opened(context.new_page(), address)
    context.close()


both_sizes = pytest.mark.parametrize("opened", [(size, "light") for size in SIZES], indirect=True, ids=list(SIZES))


@both_sizes
def test_it_asks_for_itself_alone_and_complains_of_nothing(opened: Opened, address: str) -> None:
    assert opened.requests == [address]
    assert opened.complaints == []


@both_sizes
def test_it_never_scrolls_sideways(opened: Opened) -> None:
    for folded in opened.page.locator("summary").all():
        folded.click()
    width = opened.page.viewport_size["width"]
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    script = "[...document.querySelectorAll('main *:not(.scroll *):not(svg *)')]"
    script += ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 99))"
    assert opened.page.evaluate(script) == []


def test_a_wide_table_scrolls_in_its_box_and_keeps_its_names(opened: Opened) -> None:
    box = opened.page.get_by_role("region", name="All metrics")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth + 100")
    first = box.locator("tbody th").first
    before = first.bounding_box()["x"]
    box.evaluate("e => { e.scrollLeft = 200 }")
    assert box.evaluate("e => e.scrollLeft") == 200
    assert first.bounding_box()["x"] == pytest.approx(before, abs=1)


@both_sizes
def test_it_has_its_title_and_headings(opened: Opened) -> None:
    assert opened.page.title() == "newsrec-training-1 · newsrec report"
    assert opened.page.get_by_role("heading", level=1).inner_text() == "newsrec-training-1"
    titles = opened.page.get_by_role("heading", level=2).all_inner_texts()
    assert titles[:2] == ["Verdict", "Policies on the same decisions"]
    assert "What readers would see" in titles
    assert "Active days in 28 days, simulated" in titles


@both_sizes
def test_every_figure_can_be_seen(opened: Opened) -> None:
    sizes = [figure.bounding_box() for figure in opened.page.locator("svg").all()]
    assert len(sizes) > 8
    assert all(size["width"] > 250 and size["height"] > 60 for size in sizes)
    drawn = opened.page.locator("svg text").first.evaluate("e => e.getBoundingClientRect().height")
    assert drawn >= 10, "text in figures can be read"


@pytest.mark.parametrize("opened", [("phone", "dark")], indirect=True)
def test_in_the_dark_the_paper_is_dark_and_what_is_on_it_bright(opened: Opened) -> None:
    assert max(opened.colour("body", "background-color")) < 40
    assert min(opened.colour("body")) > 200
    assert min(opened.colour("svg text", "fill")) > 200
    assert sum(opened.colour(".p1")) > 380


def test_in_the_light_it_is_the_other_way_round(opened: Opened) -> None:
    assert min(opened.colour("body", "background-color")) > 240
    assert max(opened.colour("svg text", "fill")) < 60


def test_a_title_with_a_script_is_text(opened: Opened) -> None:
    assert opened.page.get_by_text(runs.SCRIPT).first.is_visible()
    assert opened.page.locator("script").count() == 0


def test_it_can_be_read_with_the_keyboard(opened: Opened) -> None:
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.getAttribute('href')") == "#verdict"
    opened.page.locator("summary").first.focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("details[open]").count() == 1
