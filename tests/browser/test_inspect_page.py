"""The page of an episode in a real browser: it complains of nothing, and the slider, keys and buttons move it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hebbit.scripts import main

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
).split()
# Chromium takes commands from descriptor 3 and answers on descriptor 4.
START = "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 203); os.dup2(w, 204); os.dup2(203, 3); \
os.dup2(204, 4); os.execv(sys.argv[3], sys.argv[3:])"


class Page:
    """A page of a headless Chromium, driven by its DevTools protocol over a pair of pipes."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers, self.held = commands, answers, b""
        self.events: list[dict[str, Any]] = []
        self.session: dict[str, str] = {}
        self.number = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.held:
            part = os.read(self.answers, 1 << 16)
            assert part, "the browser has ended"
            self.held += part
        line, _, self.held = self.held.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        text = json.dumps({"id": self.number, "method": method, "params": params, **self.session})
        os.write(self.commands, text.encode() + b"\0")
        while (message := self.receive()).get("id") != self.number:
            self.events.append(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def open(self, url: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def ask(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def key(self, name: str, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, modifiers=8 * shift)

    def complaints(self) -> list[dict[str, Any]]:
        bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for event in self.events if event["method"] in bad]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = shutil.which("chromium")
    assert program is not None, "these tests need Chromium as 'chromium' on the PATH"
    folder = tmp_path_factory.mktemp("chromium")
    (theirs, commands), (answers, ours) = os.pipe(), os.pipe()
    command = [sys.executable, "-c", START, str(theirs), str(ours), program, *FLAGS, f"--user-data-dir={folder}"]
    with open(folder / "log.txt", "wb") as log:
        child = subprocess.Popen(command, pass_fds=(theirs, ours), stdout=log, stderr=log)
    os.close(theirs)
    os.close(ours)
    try:
        made = Page(commands, answers)
        yield made
        made.session = {}
        made.call("Browser.close")
        child.wait(60)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(commands)
        os.close(answers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inspection with the page of an episode of 60 presentations."""
    folder = tmp_path_factory.mktemp("inspection")
    train = f"train MountainCar-v0 --steps 300 --run-dir {folder / 'r'} --quiet --no-plots --eval-episodes 1"
    assert main([*train.split(), "-P", "pool_words=8"]) == 0
    assert main(["inspect", str(folder / "r"), "--steps", "60", "--watch", "--stochastic"]) == 0
    return folder / "r" / "inspection"


@pytest.fixture
def watched(page: Page, folder: Path) -> Page:
    page.open((folder / "watch.html").as_uri())
    return page


def drawn(page: Page, canvas: str) -> Any:
    return page.ask(f"document.getElementById('{canvas}').toDataURL()")


def at(page: Page) -> int:
    return int(page.ask("document.getElementById('t').textContent").split()[0])


def test_the_slider_changes_everything(watched: Page) -> None:
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
    assert watched.complaints() == []


def test_keys_and_buttons_move_it(watched: Page) -> None:
    for key, shift, place in (
        ("ArrowRight", False, 1), ("ArrowRight", True, 11), ("ArrowLeft", False, 10), ("End", False, 59),
        ("ArrowRight", False, 59), ("Home", False, 0), ("ArrowLeft", True, 0),
    ):  # fmt: skip
        watched.key(key, shift)
        assert at(watched) == place
    watched.ask("document.getElementById('on').click()")
    assert at(watched) == 1
    assert watched.ask("document.getElementById('slider').value") == "1"
    assert watched.complaints() == []


def test_it_plays_to_the_end_and_stops(watched: Page) -> None:
    watched.key("End")
    for _ in range(3):
        watched.key("ArrowLeft")
    watched.ask(
        "new Promise(done => { const label = document.getElementById('play');"
        "new MutationObserver(() => { if (label.textContent === 'Play') done(); }).observe(label, {childList: true});"
        "label.click(); })"
    )
    assert at(watched) == 59 and watched.ask("document.getElementById('play').textContent") == "Play"
    assert watched.complaints() == []


def test_both_schemes_and_a_phone(watched: Page) -> None:
    shots = []
    for scheme in ("light", "dark"):
        watched.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # the page hears of it with the next frame
        watched.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")
        shots.append((watched.ask("getComputedStyle(document.body).backgroundColor"), drawn(watched, "raster")))
    assert shots[0][0] != shots[1][0] and shots[0][1] != shots[1][1]
    watched.call("Emulation.setDeviceMetricsOverride", width=380, height=700, deviceScaleFactor=2, mobile=True)
    assert watched.ask("document.documentElement.scrollWidth") <= 380
    watched.call("Emulation.clearDeviceMetricsOverride")
    assert watched.complaints() == []


def test_the_index_shows_all_its_pictures(page: Page, folder: Path) -> None:
    page.open((folder / "index.html").as_uri())
    widths = page.ask("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) == len(list(folder.glob("*.png"))) and min(widths) > 500
    assert page.ask("document.querySelector('nav a[href=\"watch.html\"]') !== null")
    assert page.complaints() == []
