"""A real browser without a window, told what to do over a pair of pipes by Chromium's DevTools protocol."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--remote-debugging-pipe",
)
"""All that it is started with, but for its own empty profile."""
PATIENCE = 300.0
"""Seconds after which a browser is ended, for it may have stopped to answer."""

# Chromium reads commands from descriptor 3 and answers on descriptor 4.
_START = "import os, sys; a, b = map(int, sys.argv[1:3]); os.dup2(a, 203); os.dup2(b, 204); os.dup2(203, 3); \
os.dup2(204, 4); os.execvp(sys.argv[3], sys.argv[3:])"


class Browser:
    """One page of a running Chromium."""

    def __init__(self, commands: int, answers: int) -> None:
        """Open an empty page over these descriptors."""
        self._commands, self._answers = commands, os.fdopen(answers, "rb", buffering=0)
        self._held, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        """Whatever it reported besides its answers."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and give its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        _write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            part = self._answers.read(1 << 16)
            if not part:
                raise RuntimeError("the browser ended, or did not answer in time")
            self._held += part
        line, _, self._held = self._held.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def view(self, width: int, height: int = 900, dark: bool = False, mobile: bool = False) -> None:
        """A screen of so many CSS pixels, in a light or dark scheme."""
        size: dict[str, Any] = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path: Path) -> None:
        """Load a file, with everything in it."""
        self.open_url(path.absolute().as_uri())
        # pictures that change with the scheme are decoded after the load
        self.ask("Promise.all([...document.images].map(image => image.decode())).then(() => true)")

    def open_url(self, url: str) -> None:
        """Load an address."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.wait()

    def wait(self) -> None:
        """Until it reports something."""
        self.events.append(self._next())

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def screenshot(self, whole: bool = True) -> bytes:
        """A PNG of the page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened, data within the page left out."""
        found = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in found if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """What the console holds since the page was opened."""
        logged = [e["params"]["entry"]["text"] for e in self.events if e.get("method") == "Log.entryAdded"]
        return logged + [e["method"] for e in self.events if e.get("method") == "Runtime.exceptionThrown"]

    def close(self) -> None:
        """Ask it to end, wait until it has, and let go of the pipes."""
        self._session = ""
        self.call("Browser.close")
        while self._answers.read(1 << 16):
            pass
        self._answers.close()
        os.close(self._commands)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Chromium with an empty profile of its own; it ends with the block."""
    program = shutil.which("chromium")
    if program is None:
        raise AssertionError("these tests need Chromium as 'chromium' on PATH: install the package chromium")
    profile.mkdir()
    their_in, commands = os.pipe()
    answers, their_out = os.pipe()
    start = [sys.executable, "-c", _START, str(their_in), str(their_out)]
    command = [*start, program, *FLAGS, f"--user-data-dir={profile}"]
    with open(profile / "stderr.txt", "wb") as errors:
        child = subprocess.Popen(
            command, pass_fds=(their_in, their_out), stdout=errors, stderr=errors, start_new_session=True
        )
    os.close(their_in)
    os.close(their_out)
    watch = threading.Timer(PATIENCE, _end, (child,))
    watch.start()
    try:
        page = Browser(commands, answers)
        yield page
        page.close()
    finally:
        watch.cancel()
        _end(child)
        child.wait()


def _end(child: "subprocess.Popen[bytes]") -> None:
    """With its helpers: they are a group of their own."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
