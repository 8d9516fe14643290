"""What this process may use of its machine: cores and memory, also in a container that is given a part of them.

Limits of containers are read where Linux keeps them, for versions 1 and 2 of control groups:
https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/scheduler/sched-bwc.html.
"""

import os
import re
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")


def usable_cores(groups: Path = _GROUPS) -> int:
    """Cores that this process may use at once, at least 1: a quota of two and a half is two.

    Args:
      groups: Where control groups are mounted.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS has none.
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quota, _, period = _read(groups / "cpu.max").partition(" ")
    if not quota:
        quota, period = (_read(groups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota.isdigit() and period.isdigit():
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def free_memory(groups: Path = _GROUPS) -> int:
    """Bytes that can be taken without swapping and without passing the container's limit.

    Args:
      groups: Where control groups are mounted.
    """
    free: int = psutil.virtual_memory().available
    for directory, limit, usage, cached in (
        (groups, "memory.max", "memory.current", "inactive_file"),
        (groups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, used = _read(directory / limit), _read(directory / usage)
        if most.isdigit() and used.isdigit():
            # Files that were read stay in memory and count as used until somebody needs it, as `kubectl top` knows.
            kept = re.search(rf"^{cached} (\d+)$", _read(directory / "memory.stat"), re.MULTILINE)
            taken = int(used) - (int(kept.group(1)) if kept else 0)
            free = min(free, max(0, int(most) - taken))
    return free


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
