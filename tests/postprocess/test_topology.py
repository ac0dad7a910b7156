"""Topologies read from trt_pose's tensor, and refused where they contradict themselves."""

from __future__ import annotations

import numpy as np
import pytest

from posert.postprocess.topology import Topology


def test_rows_are_read_and_written_back() -> None:
    rows = [(1, 0, 0, 2), (3, 2, 2, 1)]
    topology = Topology.from_rows("bent", ["a", "b", "c"], rows)
    assert topology.links == ((0, 2), (2, 1))
    assert topology.paf_channels == ((1, 0), (3, 2))
    np.testing.assert_array_equal(topology.rows, rows)


def test_a_topology_without_links_has_no_rows() -> None:
    assert Topology.from_rows("dot", ["dot"], []).rows.shape == (0, 4)


def test_links_to_keypoints_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"links \(0, 3\): expected keypoints 0..2"):
        Topology("chain", ("a", "b", "c"), ((0, 3),), ((0, 1),))


def test_links_without_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="has 2 links and channels for 1"):
        Topology("chain", ("a", "b", "c"), ((0, 1), (1, 2)), ((0, 1),))
