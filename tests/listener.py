"""A real HTTP server on loopback, in the place of a webhook's."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T000/B000/secret"


class Listener:
    """An HTTP server that answers as it is told, in turn, and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.location = ""
        self.delay = 0.0
        self.drip = False
        self.bodies: list[dict[str, Any]] = []
        self.ended = threading.Event()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                listener.bodies.append(json.loads(body))
                listener.ended.wait(listener.delay)
                if listener.drip:
                    self.wfile.write(b"HTTP/1.0 200 OK\r\n")
                    while not listener.ended.wait(0.2):
                        try:
                            self.wfile.write(b"X-Slow: 1\r\n")
                        except OSError:
                            return
                self.send_response(listener.answers.pop(0) if listener.answers else 200)
                if listener.location:
                    self.send_header("Location", listener.location)
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{SECRET}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
