"""How many processes a step's work is divided over."""

import logging
from collections.abc import Sequence

from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, PipelineOptions, StandardOptions

from foundation.machine import free_memory, usable_cores

OPTION = "step_processes"
"""Beam's experiment that hands `[beam] direct_num_workers` to the steps; 0 lets them decide."""

_MEMORY = 1 << 30
"""Bytes that a further process may need: twice what one of Transform's took for 300 k taxi rows."""
_LOG = logging.getLogger(__name__)


def count_processes(beam_arguments: Sequence[str], work: int, least: int) -> int | None:
    """Says and returns how many processes of this machine a step has; None where Beam's workers do its work.

    Args:
      beam_arguments: Beam's, with the number that the configuration asks for.
      work: Bytes of the step's input.
      least: Bytes for which a further process is worth its start.
    """
    options = PipelineOptions(list(beam_arguments))
    direct, runner = options.view_as(DirectOptions), options.view_as(StandardOptions).runner
    if runner not in (None, "DirectRunner") or direct.direct_running_mode not in (None, "in_memory"):
        return None
    asked = int(options.view_as(DebugOptions).lookup_experiment(OPTION, 1))
    if asked:
        return asked
    cores, free = usable_cores(), free_memory()
    count = decide_processes(work, least, cores, free)
    # Of a small table nobody wants to read it in the console.
    say = _LOG.info if count > 1 else logging.info
    say(
        "%d process%s for %.1f MiB (%d cores, %d GiB of memory free)",
        *(count, "es" if count > 1 else "", work / (1 << 20), cores, free >> 30),
    )
    return count


def decide_processes(work: int, least: int, cores: int, free: int) -> int:
    """One for every `least` bytes of `work`, as far as there are `cores`, and `free` bytes of memory."""
    # The first is the step's own, and has its memory already.
    return max(1, min(cores, work // least, 1 + free // _MEMORY))
