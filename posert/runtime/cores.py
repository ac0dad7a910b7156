"""How many CPU cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "max 100000", or "200000 100000" for two cores


def usable_cores(quota_file: Path = _QUOTA) -> int:
    """Cores allowed by the scheduler and by a container's CPU quota (docker run --cpus)."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or no limit
        return allowed
