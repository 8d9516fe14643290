"""The section `[beam]` of a profile."""

from dataclasses import dataclass
from typing import Literal

from foundation.sections import require
from pipeline.engines.options import DIRECT, check_options, check_runner


@dataclass(frozen=True)
class Beam:
    """How Beam runs the data steps; `options` are passed to Beam as they are.

    In the mode "in_memory" `direct_num_workers` are the processes that a step's work is divided over, 0 for as many as
    its cores, memory and input are worth; in others they are Beam's own, 0 for one per core.

    `worker_pools` is where this machine reaches the worker pools, as host:port: each address of the host is asked. It
    is needed where the engine's own `--environment_config` names a side-car, which nobody else can reach.
    """

    runner: str = DIRECT
    direct_running_mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"
    direct_num_workers: int = 0
    options: tuple[str, ...] = ()
    worker_pools: str = ""

    def __post_init__(self) -> None:
        require(
            0 <= self.direct_num_workers <= 10_000,
            f"direct_num_workers is {self.direct_num_workers}; it must be from 0 (as many as it is worth) to 10,000.",
        )
        check_runner(self.runner)
        check_options(self.options)

    @property
    def is_local(self) -> bool:
        """Whether Beam's pipelines run in the process of the step and its children."""
        return self.runner == DIRECT

    def arguments(self) -> list[str]:
        """Beam's command-line arguments."""
        direct = [f"--direct_running_mode={self.direct_running_mode}"]
        if self.direct_running_mode == "in_memory":
            # Beam's own pipeline stays in the step's process, which hands parts to others: `components.processes`.
            direct += ["--direct_num_workers=1", f"--experiments=step_processes={self.direct_num_workers}"]
        else:
            direct += [f"--direct_num_workers={self.direct_num_workers}"]
        direct = direct if self.is_local else []
        # Without a container image or a setup option TFX builds an sdist of itself before every Beam
        # step (trap 6: 2.5 s a step); the DirectRunner never looks at the image.
        return [f"--runner={self.runner}", "--sdk_container_image=unused", *direct, *self.options]
