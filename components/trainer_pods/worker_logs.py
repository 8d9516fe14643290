"""The logs of a training's pods, relayed into the Trainer's own while they are written."""

import contextlib
import logging
import threading
from collections import deque

from components.trainer_pods.kubernetes_api import Kubernetes
from trainer_module.distribution.launcher import PROGRESS

_LOG = logging.getLogger("trainer_module.pods")
_LAST_LINES = 15


class WorkerLogs:
    """One thread a worker; the chief's progress is logged as information, all else for debugging."""

    def __init__(self, kubernetes: Kubernetes, workers: int) -> None:
        """Follows nothing yet."""
        self._kubernetes = kubernetes
        self._last: list[deque[str]] = [deque(maxlen=_LAST_LINES) for _ in range(workers)]
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()

    def follow(self, index: int, pod: str) -> None:
        """Begins to relay one pod's log."""
        thread = threading.Thread(target=self._relay, args=(index, pod), daemon=True)
        self._threads.append(thread)
        thread.start()

    def last_lines(self, index: int, pod: str) -> list[str]:
        """The last lines of one worker, including what it wrote just before it ended."""
        with contextlib.suppress(Exception):
            # The pod has ended: its log is whole, while the thread may lag behind.
            return self._kubernetes.last_lines(pod, _LAST_LINES)
        return list(self._last[index])

    def close(self) -> None:
        """Waits a moment for lines under way, then stops relaying."""
        for thread in self._threads:
            thread.join(timeout=2)
        self._closed.set()

    def _relay(self, index: int, pod: str) -> None:
        seen = 0
        while not self._closed.is_set():
            # A log is of use to a person, and no reason for a training to fail.
            with contextlib.suppress(Exception):
                for number, line in enumerate(self._kubernetes.log(pod)):
                    if self._closed.is_set():
                        return
                    if number >= seen:
                        seen = number + 1
                        self._log(index, line)
                return
            # The connection broke, as it does behind proxies: again, past what has been seen.
            self._closed.wait(2)

    def _log(self, index: int, line: str) -> None:
        self._last[index].append(line)
        is_news = line.startswith(PROGRESS) and index == 0
        _LOG.log(
            logging.INFO if is_news else logging.DEBUG, "worker %d: %s", index, line.removeprefix(PROGRESS)
        )
