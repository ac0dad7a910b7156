"""What each difference from trt_pose's parser is worth: COCO keypoint AP on one network's maps.

Starts from trt_pose's parser and adds PoseRT's changes one at a time; the last row is
``parse_maps(reference=False)``. People of at least 3 keypoints count. Usage::

    python bench/parser_ap.py --annotations person_keypoints.json --images images [--limit 100]
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from posert.evaluate import evaluate
from posert.pose import Pose
from posert.postprocess import ParserSettings, parse_maps
from posert.postprocess.group import assemble, assign, connect, mean_confidence
from posert.postprocess.grow import choose_links, grow_people
from posert.postprocess.links import all_pairs, score_links, smooth_fields
from posert.postprocess.parser import AGREEMENT, best_first
from posert.postprocess.peaks import find_peaks, fit_peaks, refine_peaks
from posert.postprocess.topology import Topology
from posert.runtime.engine import Engine
from posert.runtime.timing import StageTimes
from posert.types import Images, People, PoseMaps, PoseOutput

REFERENCE = ParserSettings(
    threshold=0.15, window=5, samples=10, link_threshold=0.1, max_peaks=100, min_parts=3
)
DEFAULT = replace(REFERENCE, threshold=0.05, samples=7, link_threshold=0.03, reference=False)


class Remembering:
    """An engine that runs its network once a picture, so that every variant sees the same maps."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.form = engine.name, engine.form
        self.workers, self.batch = engine.workers, engine.batch
        self._engine = engine
        self._outputs: dict[bytes, list[PoseOutput]] = {}

    def infer(self, frames: Images) -> list[PoseOutput]:
        key = hashlib.sha256(frames.tobytes()).digest()
        if key not in self._outputs:
            self._outputs[key] = self._engine.infer(frames)
        return self._outputs[key]


@dataclass(frozen=True)
class Variant:
    """A parser between trt_pose's and PoseRT's."""

    name: str
    topology: Topology
    fit: bool = False  # log-parabola instead of the window's mean
    grow: bool = False  # weighed links, strongest first, no two of a type
    by_links: bool = False  # person score of link scores instead of peak scores
    smooth: bool = False  # fields averaged over 3 x 3 cells
    agreement: float = 0.0  # least share of a link's points that lie in its field
    settings: ParserSettings = REFERENCE

    def __call__(self, maps: Sequence[PoseOutput]) -> list[People]:
        return [people for each in maps for people in self._parse(each)]

    def _parse(self, maps: PoseOutput) -> list[People]:
        assert isinstance(maps, PoseMaps)  # of the maps form
        topology, settings = self.topology, self.settings
        peaks = find_peaks(maps.cmap, settings.threshold, settings.window, settings.max_peaks)
        peaks = (
            fit_peaks(peaks, maps.cmap)
            if self.fit
            else refine_peaks(peaks, maps.cmap, settings.window)
        )
        paf = smooth_fields(maps.paf) if self.smooth else maps.paf
        pairs = all_pairs(peaks, topology)
        scores = score_links(paf, peaks, pairs, topology, settings.samples, self.agreement)
        if not self.grow:
            chosen = assign(pairs, scores, settings.link_threshold, reference=True)
            members = connect(np.stack([pairs.a[chosen], pairs.b[chosen]], axis=1), peaks)
            return assemble(members, mean_confidence(members, peaks), peaks, settings)
        links = choose_links(pairs, scores, peaks, settings.link_threshold)
        members, support = grow_people(links, peaks)
        if not self.by_links:
            return assemble(members, mean_confidence(members, peaks), peaks, settings)
        return assemble(*best_first(members, support, peaks, topology), peaks, settings)


@dataclass(frozen=True)
class Whole:
    """``parse_maps`` itself."""

    name: str
    topology: Topology
    settings: ParserSettings

    def __call__(self, maps: Sequence[PoseOutput]) -> list[People]:
        return [self._parse(each) for each in maps]

    def _parse(self, maps: PoseOutput) -> People:
        assert isinstance(maps, PoseMaps)  # of the maps form
        fields = ParserSettings.__dataclass_fields__
        settings = {name: getattr(self.settings, name) for name in fields}
        return parse_maps(maps.cmap, maps.paf, self.topology, **settings)


def variants(topology: Topology) -> list[Variant | Whole]:
    """From trt_pose's parser to PoseRT's, one change a step, then PoseRT's with one taken back."""
    steps: list[Variant | Whole] = [Whole("trt_pose's parser", topology, REFERENCE)]
    step = Variant("+ log-parabola instead of mean", topology, fit=True)
    steps.append(step)
    step = replace(step, name="+ strongest links first", grow=True)
    steps.append(step)
    step = replace(step, name="+ person score from links", by_links=True)
    steps.append(step)
    step = replace(step, name="+ lower thresholds, 7 samples", settings=DEFAULT)
    steps.append(step)
    step = replace(step, name="+ fields smoothed 3 x 3", smooth=True)
    steps.append(step)
    steps.append(replace(step, name="+ seven tenths of a link agree", agreement=AGREEMENT))
    steps.append(Whole("PoseRT's parser (the same)", topology, DEFAULT))
    changes = (
        {"threshold": 0.03}, {"threshold": 0.1}, {"window": 3}, {"window": 7}, {"samples": 5},
        {"samples": 10}, {"link_threshold": 0.01}, {"link_threshold": 0.1}, {"max_peaks": 20},
        {"max_peaks": 50}, {"min_score": 0.05}, {"min_score": 0.1},
    )  # fmt: skip
    for change in changes:
        (named,) = change.items()
        changed: ParserSettings = replace(DEFAULT, **change)
        steps.append(Whole("PoseRT's, {} {}".format(*named), topology, changed))
    return steps


def main() -> None:
    """Print one row of a Markdown table for each variant."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--annotations", type=Path, required=True)
    arguments.add_argument("--images", type=Path, required=True)
    arguments.add_argument("--model", default="pose-small")
    arguments.add_argument("--size", type=int, default=384)
    arguments.add_argument("--limit", type=int)
    given = arguments.parse_args()
    pose = Pose(given.model, form="maps", precision="fp32", input_size=given.size)
    network = replace(pose.estimator, engine=Remembering(pose.engine))
    print("| parser | AP | AP50 | AP75 | AR | people | ms |\n|---|---|---|---|---|---|---|")
    for variant in variants(pose.topology):
        pose.estimator = replace(network, parse=variant, times=StageTimes())
        result = evaluate(pose, given.annotations, given.images, given.limit)
        scores = " | ".join(f"{result.metrics[name]:.3f}" for name in ("AP", "AP50", "AP75", "AR"))
        ms = next(stage for stage in result.stages if stage.stage == "parse").p50_ms
        print(f"| {variant.name} | {scores} | {result.found_people} | {ms:.2f} |", flush=True)


if __name__ == "__main__":
    main()
