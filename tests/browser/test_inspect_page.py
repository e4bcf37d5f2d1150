"""The page of an episode in a real browser: it complains of nothing, and the slider, keys and buttons move it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hebbit.scripts import main
from tests.browser.chromium import Browser, browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as made:
        yield made


def press(page: Browser, name: str, shift: bool = False) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=name, modifiers=8 * shift)


def complaints(page: Browser) -> list[Any]:
    """What went wrong since the page was opened, and whatever it printed."""
    printed = [event["params"]["args"] for event in page.events if event.get("method") == "Runtime.consoleAPICalled"]
    return [*page.complaints(), *printed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inspection with the page of an episode of 60 presentations."""
    folder = tmp_path_factory.mktemp("inspection")
    train = f"train MountainCar-v0 --steps 300 --run-dir {folder / 'r'} --quiet --no-plots --eval-episodes 1"
    assert main([*train.split(), "-P", "pool_words=8"]) == 0
    assert main(["inspect", str(folder / "r"), "--steps", "60", "--watch", "--stochastic"]) == 0
    return folder / "r" / "inspection"


@pytest.fixture
def watched(page: Browser, folder: Path) -> Browser:
    page.open(folder / "watch.html")
    return page


def drawn(page: Browser, canvas: str) -> Any:
    return page.ask(f"document.getElementById('{canvas}').toDataURL()")


def at(page: Browser) -> int:
    return int(page.ask("document.getElementById('t').textContent").split()[0])


def test_the_slider_changes_everything(watched: Browser) -> None:
    seen = []
    for place in (0, 30, 59):
        watched.ask(
            "(() => { const slider = document.getElementById('slider'); slider.value = "
            f"{place}; slider.dispatchEvent(new Event('input')); }})()"
        )
        assert at(watched) == place
        frame = watched.ask(
            "document.getElementById('frame').decode().then(() => document.getElementById('frame').src)"
        )
        assert frame.startswith("data:image/")
        width = watched.ask("document.getElementById('frame').naturalWidth")
        assert width == 360
        seen.append((frame, drawn(watched, "raster"), drawn(watched, "curves")))
    for part in zip(*seen, strict=True):
        assert len(set(part)) == 3
    assert complaints(watched) == []


def test_keys_and_buttons_move_it(watched: Browser) -> None:
    for key, shift, place in (
        ("ArrowRight", False, 1), ("ArrowRight", True, 11), ("ArrowLeft", False, 10), ("End", False, 59),
        ("ArrowRight", False, 59), ("Home", False, 0), ("ArrowLeft", True, 0),
    ):  # fmt: skip
        press(watched, key, shift)
        assert at(watched) == place
    watched.ask("document.getElementById('on').click()")
    assert at(watched) == 1
    assert watched.ask("document.getElementById('slider').value") == "1"
    assert complaints(watched) == []


def test_it_plays_to_the_end_and_stops(watched: Browser) -> None:
    press(watched, "End")
    for _ in range(3):
        press(watched, "ArrowLeft")
    watched.ask(
        "new Promise(done => { const label = document.getElementById('play');"
        "new MutationObserver(() => { if (label.textContent === 'Play') done(); }).observe(label, {childList: true});"
        "label.click(); })"
    )
    assert at(watched) == 59 and watched.ask("document.getElementById('play').textContent") == "Play"
    assert complaints(watched) == []


def test_both_schemes_and_a_phone(watched: Browser) -> None:
    shots = []
    for scheme in ("light", "dark"):
        watched.view(1000, dark=scheme == "dark")
        # the page hears of it with the next frame
        watched.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")
        shots.append((watched.ask("getComputedStyle(document.body).backgroundColor"), drawn(watched, "raster")))
    assert shots[0][0] != shots[1][0] and shots[0][1] != shots[1][1]
    watched.view(380, 700, mobile=True)
    assert watched.ask("document.documentElement.scrollWidth") <= 380
    watched.call("Emulation.clearDeviceMetricsOverride")
    assert complaints(watched) == []


def test_the_index_shows_all_its_pictures(page: Browser, folder: Path) -> None:
    page.open(folder / "index.html")
    widths = page.ask("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) == len(list(folder.glob("*.png"))) and min(widths) > 500
    assert page.ask("document.querySelector('nav a[href=\"watch.html\"]') !== null")
    assert complaints(page) == []
