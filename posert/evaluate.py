"""COCO keypoint accuracy of a model with everything around it, and its speed."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from posert.config import read_mapping
from posert.errors import ConfigError, InputError
from posert.model_card import ModelCard
from posert.postprocess.formats import COCO, coco_entry, order_of
from posert.postprocess.topology import Topology
from posert.runtime.engine import Engine
from posert.runtime.estimator import Estimator
from posert.runtime.flow import ordered_map
from posert.runtime.sources.pictures import read_image
from posert.runtime.timing import StageTime
from posert.types import People

# COCOeval.stats of keypoints, in its order
METRICS = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


class Evaluated(Protocol):
    """What is evaluated: a ``Pose``, or whatever else has its parts."""

    @property
    def card(self) -> ModelCard: ...

    @property
    def topology(self) -> Topology: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def estimator(self) -> Estimator: ...


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` measured."""

    model: str
    engine: str
    input_size: int | tuple[int, int]
    images: int  # evaluated
    missing_images: int  # named in the annotations, not in the folder
    annotated_people: int
    found_people: int
    metrics: dict[str, float]  # COCO keypoint AP and AR by METRICS; -1 where nothing to measure
    images_per_s: float  # all stages, all workers
    stages: tuple[StageTime, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return asdict(self)


def evaluate(
    pose: Evaluated,
    annotations: Path,
    images: Path,
    limit: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Runs ``pose`` over annotated images and scores it with pycocotools' COCOeval.

    Args:
        annotations: COCO keypoint JSON whose person category names COCO's 17 keypoints (and maybe
            more, which are left out).
        images: the folder of its files.
        limit: only the first so many images.
        on_image: called with the images done and their total.

    Raises:
        InputError: the annotations are none, or none of their images is there.
        ConfigError: pycocotools is not installed, or the model lacks one of COCO's keypoints.
    """
    order = order_of(pose.topology, COCO, "COCO evaluation")
    truth = _truth(annotations)
    present = [i for i in truth["images"] if (images / i["file_name"]).is_file()][:limit]
    if not present:
        raise InputError(f"{images}: holds none of the {len(truth['images'])} images annotated")

    def find(image: dict[str, Any]) -> tuple[int, People]:
        return image["id"], pose.estimator(read_image(images / image["file_name"]))

    began = time.perf_counter()
    workers = pose.engine.workers
    results: list[dict[str, Any]] = []
    found = ordered_map(find, iter(present), workers=workers, depth=2 * workers, name="eval")
    for done, (image_id, people) in enumerate(found, 1):
        rows = zip(people.keypoints, people.scores, strict=True)
        results += [coco_entry(image_id, points[order], float(score)) for points, score in rows]
        on_image(done, len(present))
    seconds = time.perf_counter() - began
    used = {image["id"] for image in present}
    return Evaluation(
        model=pose.card.name,
        engine=pose.engine.name,
        input_size=pose.estimator.size,
        images=len(present),
        missing_images=len(truth["images"]) - len(present) if limit is None else 0,
        annotated_people=sum(
            a["image_id"] in used and a["num_keypoints"] > 0 for a in truth["annotations"]
        ),
        found_people=len(results),
        metrics=_score(truth, results, sorted(used)),
        images_per_s=len(present) / seconds,
        stages=pose.estimator.times.summary(),
    )


def _truth(path: Path) -> dict[str, Any]:
    """The annotations with COCO's 17 keypoints in COCO's order."""
    data = read_mapping(path, InputError)
    try:
        names = next(c["keypoints"] for c in data["categories"] if c.get("keypoints"))
        order = [names.index(name) for name in COCO]
        people = [_in_order(a, order) for a in data["annotations"]]
        images = [{"id": i["id"], "file_name": i["file_name"]} for i in data["images"]]
    except (KeyError, IndexError, TypeError, ValueError, StopIteration) as e:
        raise InputError(
            f"{path}: is no COCO keypoint file ({type(e).__name__}: {e})",
            expected="images, annotations and a category with COCO's 17 keypoints",
        ) from e
    category = {"id": 1, "name": "person", "keypoints": list(COCO), "skeleton": []}
    return {"info": {}, "images": images, "annotations": people, "categories": [category]}


def _in_order(annotation: dict[str, Any], order: list[int]) -> dict[str, Any]:
    numbers = annotation["keypoints"]
    keypoints = [value for c in order for value in numbers[3 * c : 3 * c + 3]]
    count = sum(v > 0 for v in keypoints[2::3])
    return {**annotation, "keypoints": keypoints, "num_keypoints": count, "category_id": 1}


def _score(
    truth: dict[str, Any], results: list[dict[str, Any]], image_ids: list[int]
) -> dict[str, float]:
    try:
        from pycocotools import coco
        from pycocotools.cocoeval import COCOeval
    except ImportError as e:
        raise ConfigError("posert eval needs pycocotools", fix="pip install 'posert[eval]'") from e
    if not results:
        return dict.fromkeys(METRICS, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        annotations = coco.COCO()
        annotations.dataset = truth
        annotations.createIndex()
        judge = COCOeval(annotations, annotations.loadRes(results), "keypoints")
        judge.params.imgIds = image_ids
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return dict(zip(METRICS, (round(float(v), 4) for v in judge.stats), strict=True))
