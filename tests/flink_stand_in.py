"""In the place of Flink's REST API: a real HTTP server on loopback that answers as Flink 1.19 does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GIBIBYTE = 1 << 30


class Answers:
    """What it is told to answer, and what was cancelled; `tests/flink` asks the same of a real one."""

    def __init__(self) -> None:
        self.overview: Any = {"flink-version": "1.19.3", "slots-total": 2, "slots-available": 2}
        memory = {"networkMemory": GIBIBYTE, "taskOffHeap": GIBIBYTE}
        self.task_manager: dict[str, Any] = {"id": "tm-1", "slotsNumber": 2, "memoryConfiguration": memory}
        self.jobs: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        given = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(
                    {
                        "/v1/overview": given.overview,
                        "/v1/taskmanagers": {"taskmanagers": [given.task_manager]},
                        "/v1/jobs/overview": {"jobs": given.jobs},
                    }[self.path]
                )

            def do_PATCH(self) -> None:
                identifier = self.path.removeprefix("/v1/jobs/").removesuffix("?mode=cancel")
                given.cancelled.append(identifier)
                for job in given.jobs:
                    if job["jid"] == identifier:
                        job["state"] = "CANCELED"
                self.answer({})

            def answer(self, document: Any) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
