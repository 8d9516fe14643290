"""A real Chromium that opens a page, spoken to over its DevTools protocol.

What a person would notice is asked of the browser itself: errors on the console, requests that leave
the page, names that a screen reader would say, how long it took, and what it looks like.
"""

import base64
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websocket

WIDTHS = {"laptop": 1280, "phone": 390}
"""CSS pixels."""


@dataclass
class Page:
    """What one visit of a page found."""

    connection: websocket.WebSocket
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _last: int = 0

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command; events that arrive meanwhile are kept."""
        self._last += 1
        self.connection.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.connection.recv())
            if message.get("id") == self._last:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message)

    def wait_for(self, event: str) -> None:
        """Returns when the browser reports `event`."""
        while True:
            message = json.loads(self.connection.recv())
            self._note(message)
            if message.get("method") == event:
                return

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def look(self, theme: str, width: int) -> None:
        """Chooses "light" or "dark", and the window's width in CSS pixels."""
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def screenshot(self, path: Path, selector: str = "html") -> None:
        """A PNG of the first element that `selector` finds, also where it is longer than the window."""
        box = self.evaluate(
            f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();"
            "return [r.x + scrollX, r.y + scrollY, r.width, r.height]; })()"
        )
        clip = dict(zip(("x", "y", "width", "height"), box), scale=1)
        shot = self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(parameters["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled":
                self.problems.append(json.dumps(parameters["args"])[:500])
            case "Log.entryAdded":
                self.problems.append(parameters["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.problems.append(f"a dialog: {parameters['message']}")
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])


@contextlib.contextmanager
def visit(program: str, url: str) -> Iterator[Page]:
    """Opens `url` in a fresh browser and waits until it is loaded."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-extensions", "--disable-background-networking",
                "--remote-debugging-port=0", f"--user-data-dir={profile}", "--hide-scrollbars", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            connection = websocket.create_connection(
                _page_address(process, Path(profile)), suppress_origin=True, timeout=30
            )
            page = Page(connection)
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
                page.send(f"{domain}.enable")
            page.look("light", WIDTHS["laptop"])
            page.send("Page.navigate", url=url)
            page.wait_for("Page.loadEventFired")
            yield page
            connection.close()
        finally:
            process.kill()
            process.wait()


def _page_address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """The WebSocket of the browser's one page; it writes its port into its profile."""
    from urllib.request import urlopen

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
            port = int((profile / "DevToolsActivePort").read_text().splitlines()[0])
            with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                return next(t["webSocketDebuggerUrl"] for t in json.load(answer) if t["type"] == "page")
        time.sleep(0.1)
    raise AssertionError(f"the browser did not start (status {process.poll()})")
