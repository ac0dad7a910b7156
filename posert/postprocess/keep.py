"""Which of the people found are worth reporting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posert.types import People


def keep(people: People, min_parts: int = 1, min_score: float = 0.0) -> People:
    """Those of ``people`` with at least ``min_parts`` keypoints and a score of ``min_score``."""
    parts = (~np.isnan(people.keypoints[:, :, 0])).sum(axis=1)
    kept = (parts >= min_parts) & (people.scores >= min_score)
    return replace(people, keypoints=people.keypoints[kept], scores=people.scores[kept])
