"""Link scores of the compact form where a network's maps are not finite."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from posert.engine_builder.card import find_card, read_topology
from posert.engine_builder.compact import parse_graph
from posert.postprocess import ParserSettings
from posert.types import Float32


def sloping(share: float, seed: int) -> Float32:
    """Maps that rise to a corner, with ``share`` of them NaN: peaks are placed far off the map."""
    rng = np.random.default_rng(seed)
    slope = np.arange(24)[:, None] * 0.5 - np.arange(32) * 0.25
    maps = np.exp(slope + rng.standard_normal((1, 18, 24, 32)) * 0.01).astype(np.float32)
    maps[rng.random(maps.shape) < share] = np.nan
    return maps


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("window", [3, 5])
def test_beside_nan_nothing_is_read_off_the_map(window: int, reference: bool) -> None:
    topology = read_topology(find_card("pose-small").topology_path)
    settings = ParserSettings(threshold=0.01, window=window, max_peaks=60, reference=reference)
    session = onnxruntime.InferenceSession(
        parse_graph(topology, settings).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    ones = np.ones((1, 42, 24, 32), np.float32)
    furthest = 0.0
    for seed, share in enumerate((0.02, 0.1, 0.3, 0.6)):
        feeds = dict(zip(names, (sloping(share, seed), ones), strict=True))
        peaks, counts, links = session.run(None, feeds)  # reading off the map is refused
        furthest = max(furthest, peaks[..., 0].max() - 24, -peaks[..., 1].min())
        assert counts.sum() > 0
        assert np.isfinite(links).all()
    if window == 5 and not reference:
        assert furthest > 24  # the maps are bad enough
