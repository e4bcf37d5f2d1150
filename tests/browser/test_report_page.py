"""The page of a report in a real browser: every picture is there, both colour schemes can be read, a phone will do."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.scripts import main
from tests.browser.chromium import Browser, browser
from tests.scripts.bench_results import Made, table

pytestmark = pytest.mark.browser

DESK, PHONE = 1280, 400
SCHEMES = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
WIDTHS = pytest.mark.parametrize("width", [DESK, PHONE], ids=["desk", "phone"])

# Of every text that is seen: its colour, and the first background behind it that is not transparent.
CONTRASTS = """
(() => {
  const parse = text => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(x => x / 255)
    .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walk.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with failed runs and a task without a threshold."""
    failed = {("CartPole-v1", "dqn", 1001): "crashed", ("Breakout", "a2c", 1000): "missing"}
    made = Made(("CartPole-v1", "Breakout"), ("hebbit", "ppo", "a2c", "dqn"), (1000, 1001, 1002, 1003), failed)
    folder = made.write(tmp_path_factory.mktemp("page") / "results")
    assert main(["report", str(folder), "--repetitions", "200"]) == 0
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as found:
        yield found


def shot(page: Browser) -> NDArray[np.float64]:
    """The page as it is seen, [height, width, 3] from 0 to 1."""
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(page.screenshot())), np.float64)[..., :3]


@SCHEMES
def test_every_picture_is_shown(page: Browser, report: Path, dark: bool) -> None:
    page.view(DESK, dark=dark)
    page.open(report / "report.html")
    sizes = page.ask("[...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth, i.currentSrc.length])")
    assert len(sizes) == 13
    assert all(complete and min(natural, shown) > 200 and source > 5000 for complete, natural, shown, source in sizes)
    # the drawing is the one of the scheme
    used = page.ask("[...document.images].map(i => i.currentSrc === i.previousElementSibling.srcset)")
    assert used == [dark] * 13


@SCHEMES
@WIDTHS
def test_nothing_is_asked_of_the_network_and_nothing_complained(
    page: Browser, report: Path, dark: bool, width: int
) -> None:
    page.view(width, dark=dark, mobile=width == PHONE)
    page.open(report / "report.html")
    assert page.requests() == [(report / "report.html").as_uri()]
    assert page.complaints() == []


def test_the_browser_refuses_what_the_policy_forbids(page: Browser, report: Path, tmp_path: Path) -> None:
    """Scripts and pictures from elsewhere, smuggled into the page, do nothing: the test above can fail."""
    text = (report / "report.html").read_text()
    evil = "<script>document.title = 'taken'</script><img src='http://localhost:9/x.png' alt=''></main>"
    (tmp_path / "evil.html").write_text(text.replace("</main>", evil))
    page.view(DESK)
    page.open_url((tmp_path / "evil.html").as_uri())
    while len(page.complaints()) < 2:
        page.wait()
    assert page.ask("document.title") == "Benchmark: made-up"
    assert all("Content Security Policy" in text for text in page.complaints())


@SCHEMES
def test_every_text_can_be_read(page: Browser, report: Path, dark: bool) -> None:
    page.view(DESK, dark=dark)
    page.open(report / "report.html")
    page.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = page.ask(CONTRASTS)
    assert len(found) > 500
    assert [text for contrast, text in found if contrast < 4.5] == []


@SCHEMES
def test_pictures_stand_out_from_the_page(page: Browser, report: Path, dark: bool) -> None:
    """Drawings are transparent: their ink must suit the page behind them."""
    page.view(DESK, dark=dark)
    page.open(report / "report.html")
    pixels, light = shot(page), np.array([0.2126, 0.7152, 0.0722])
    places = page.ask(
        "[...document.images].map(i => i.getBoundingClientRect()).map(r => [r.x, r.y + scrollY, r.width, r.height])"
    )
    for x, y, width, height in np.round(places).astype(int):
        part = pixels[y : y + height, x : x + width] @ light
        assert abs(np.median(part) - (0.09 if dark else 1.0)) < 0.03
        contrast = part.max() - np.median(part) if dark else np.median(part) - part.min()
        assert contrast > 0.6
        assert 0.02 < (np.abs(part - np.median(part)) > 0.2).mean() < 0.4


@SCHEMES
@WIDTHS
def test_the_page_is_as_wide_as_the_screen(page: Browser, report: Path, dark: bool, width: int) -> None:
    page.view(width, dark=dark, mobile=width == PHONE)
    page.open(report / "report.html")
    page.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.ask("innerWidth") == width
    assert page.ask("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('main *')]
        .filter(one => !one.closest('.scroll') || one.matches('.scroll'))
        .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5).map(one => one.outerHTML.slice(0, 80))"""
    assert page.ask(outside) == []
    texts = "[...document.querySelectorAll('p, li, th, td, figcaption, summary, .under')]"
    assert min(page.ask(f"{texts}.map(one => parseFloat(getComputedStyle(one).fontSize))")) >= 11


def test_wide_tables_scroll_with_the_keyboard(page: Browser, report: Path) -> None:
    page.view(PHONE, mobile=True)
    page.open(report / "report.html")
    first = "document.querySelector('.scroll')"
    assert page.ask(f"{first}.scrollWidth > {first}.clientWidth + 100")
    assert page.ask(f"{first}.focus(), document.activeElement === {first}")
    # the names of the rows stay in sight
    page.ask(f"{first}.scrollLeft = 300")
    assert page.ask(f"{first}.querySelector('tbody th').getBoundingClientRect().left >= 0")


def test_tables_hold_the_figures_of_the_markdown(page: Browser, report: Path) -> None:
    page.view(DESK)
    page.open(report / "report.html")
    rows = """[...document.querySelectorAll('table')].map(table => [table.caption.innerText,
        [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))])"""
    page.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    tables = page.ask(rows)
    assert len(tables) == 15
    for caption, (head, *body) in tables:
        written = [{k: re.sub(r"\[(JSON)\].*", r"\1", v) for k, v in row.items()} for row in table(report, caption)]
        assert [dict(zip(head, row, strict=True)) for row in body] == written


def test_the_page_looks_different_in_the_dark(page: Browser, report: Path) -> None:
    brightness = []
    for dark in (False, True):
        page.view(PHONE, dark=dark, mobile=True)
        page.open(report / "report.html")
        brightness.append(float(np.median(shot(page))))
    assert brightness[0] > 0.95 and brightness[1] < 0.15


def test_links_to_results_lead_somewhere(page: Browser, report: Path) -> None:
    page.view(DESK)
    page.open(report / "report.html")
    links = page.ask("[...document.querySelectorAll('a')].map(a => a.href).filter(x => x.endsWith('.json'))")
    assert len(links) == 31
    page.open_url(links[0])
    assert re.match(r'\s*\{"format": 2', page.ask("document.body.innerText"))
