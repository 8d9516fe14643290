"""How a process says that it saved and stopped because it was asked to."""

PREEMPTED = 143
"""Exit status after SIGTERM: 128 + 15, as shells count."""


class Preempted(SystemExit):
    """SIGTERM came, the training has been saved, and this process should end."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED)
