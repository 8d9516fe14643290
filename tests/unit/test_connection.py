"""Who gets the token and the cookies of a login."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline.kubeflow.connection import Server, check_health


class Site:
    """An HTTP server that redirects to `target`, or says that it is well; it keeps the headers that it got."""

    def __init__(self) -> None:
        self.target, self.status, self.logins = "", 302, [("", "")]
        self.logins.clear()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.logins.append((self.headers.get("Authorization", ""), self.headers.get("Cookie", "")))
                redirects = bool(site.target) and self.path != "/well"
                self.send_response(site.status if redirects else 200)
                if redirects:
                    self.send_header("Location", site.target)
                self.end_headers()
                self.wfile.write(b"" if redirects else b'{"tag_name": "2.14"}')

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    opened = Site(), Site()
    yield opened
    for site in opened:
        site.server.shutdown()
        site.server.server_close()


@pytest.mark.parametrize("login", [{"token": "secret"}, {"cookies": "session=secret"}])
@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirect_never_carries_a_login_to_another_server(
    sites: tuple[Site, Site], status: int, login: dict[str, str]
) -> None:
    first, other = sites
    first.status, first.target = status, f"{other.url}/well"
    check_health(Server(first.url, seconds=5, **login))  # type: ignore[arg-type]
    assert "secret" in "".join(first.logins[0]) and other.logins == [("", "")]


def test_a_redirect_on_the_same_server_keeps_the_login(sites: tuple[Site, Site]) -> None:
    first, _ = sites
    first.target = f"{first.url}/well"
    assert check_health(Server(first.url, token="secret", seconds=5)) == "2.14"
    assert first.logins == [("Bearer secret", "")] * 2


@pytest.mark.parametrize(
    ("host", "warns"), [("http://pipelines.invalid", True), ("https://pipelines.invalid", False)]
)
def test_a_login_over_plain_http_warns(host: str, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match="cannot be reached"):
        check_health(Server(host, token="secret", seconds=5))
    assert ("plain http" in caplog.text) is warns and "secret" not in caplog.text
