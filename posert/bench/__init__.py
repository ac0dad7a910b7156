"""How fast each stage is alone, how fast they are together, and how near that is to the ideal.

The ideal is cores / (CPU seconds a frame of all stages, each measured alone): no pipeline can be
faster without doing less work. Where a device is slower than that, the ideal is the device's own
speed. Stages and whole runs take turns in one process, so that a noisy machine disturbs all alike.
"""

from posert.bench.measure import bench
from posert.bench.plan import Plan
from posert.bench.results import Bench

__all__ = ["Bench", "Plan", "bench"]
