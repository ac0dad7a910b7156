"""Hair: a cap lifted off the scalp, plus long hair, a bun or a pony tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyvista as pv

from walkers.body import Shape, Template
from walkers.mesh import Array, Part, clip, normals_of, smooth, subdivide

if TYPE_CHECKING:
    from walkers.clothes import Outfit

THICKNESS = {"short": 0.017, "crop": 0.006, "long": 0.020, "bun": 0.011, "tail": 0.012}


def make_hair(
    template: Template, shape: Shape, outfit: Outfit, left_eye: Array, seed: int
) -> list[Part]:
    """The hair parts of a person; `left_eye` is the eye's centre in metres."""
    keypoints = template.regressor @ shape.points
    ear = (keypoints[3] + keypoints[4]) / 2
    cap = _cap(template, shape, outfit, left_eye, ear, seed)
    parts = [cap]
    low, high = cap.points.min(axis=0), cap.points.max(axis=0)
    size = high - low
    head = template.bones.index("head")
    if outfit.hair_style == "bun":
        centre = np.array([0, high[1] - 0.005, low[2] + 0.72 * size[2]])
        parts.append(_blob(centre, np.array([0.040, 0.036, 0.036]), template, head))
    if outfit.hair_style == "tail":
        centre = np.array([0, high[1] + 0.012, low[2] + 0.62 * size[2]])
        parts.append(_blob(centre, np.array([0.024, 0.03, 0.028]), template, head))
        centre = centre + np.array([0, 0.016, -0.085])
        parts.append(_blob(centre, np.array([0.026, 0.026, 0.10]), template, head))
    if outfit.hair_style == "long":
        parts.append(_curtain(template, shape, cap, ear))
    for part in parts:
        part.colors = _colors(part.points, np.array(outfit.hair), seed)
    return parts


def _colors(p: Array, base: Array, seed: int) -> Array:
    """Strands: darker and lighter streaks that run down the head."""
    rng = np.random.default_rng(seed)
    angle = np.arctan2(p[:, 0], -(p[:, 1] + 0.03))
    streak = np.zeros(len(p))
    for k in (17, 29, 43):
        streak += np.sin(angle * k + rng.uniform(0, 6) + 18 * p[:, 2])
    return np.asarray(np.clip(base * (1 + 0.09 * streak)[:, None], 0.01, 1))


def _cap(
    template: Template, shape: Shape, outfit: Outfit, eye: Array, ear: Array, seed: int
) -> Part:
    """Scalp above the hairline, lifted outward."""
    points = shape.points
    tris = template.groups["body"]
    head = points[:, 2] > ear[2] - 0.10
    front = points[:, 1] < eye[1] + 0.012  # face and its inner surfaces are no scalp
    tris = tris[(head & ~(front & (points[:, 2] < eye[2] + 0.015)))[tris].all(axis=1)]
    part = subdivide(Part.of(points, template.weights, tris))
    p = part.points
    top = float(points[np.unique(template.groups["body"]), 2].max())
    tall = top - eye[2]
    ear_x = float(np.abs((template.regressor @ points)[3, 0]))
    unit = tall / 0.11  # head size relative to an adult's
    y0, y1 = ear[1] - 0.018 * unit, ear[1] + 0.026 * unit
    z0, z1 = ear[2] - 0.032 * unit, ear[2] + 0.027 * unit
    knots_y = [eye[1] - 0.03, eye[1] + 0.012, y0 - 0.030, y0 - 0.022, y0, y1, y1 + 0.010]
    knots_z = [
        eye[2] + 0.60 * tall,
        eye[2] + 0.50 * tall,
        z1 + 0.012,
        z1 - 0.022,
        z1,
        z1 - 0.008,
        z0 - 0.022,
    ]
    line = np.interp(p[:, 1], knots_y, knots_z)
    field = p[:, 2] - line
    near_ear = (p[:, 1] > y0 - 0.004) & (p[:, 1] < y1 + 0.004) & (p[:, 2] > z0) & (p[:, 2] < z1)
    field = np.where(near_ear & (np.abs(p[:, 0]) > 0.85 * ear_x), -0.02, field)
    centre = np.array([0, ear[1] + 0.01, ear[2] + 0.03])
    part = clip(part, field)
    way = part.points - centre
    edge = part.points[:, 2] - np.interp(part.points[:, 1], knots_y, knots_z)
    full = np.clip(edge / 0.035, 0, 1) ** 0.6
    thick = THICKNESS[outfit.hair_style]
    volume = thick * (0.28 + 0.72 * full) * (1 + 0.35 * np.clip(way[:, 2] / 0.1, 0, 1))
    part = smooth(part, 3)
    normals = normals_of(part)
    rng = np.random.default_rng(seed)
    waves = np.sin(part.points @ rng.normal(size=(3, 4)) * 55).sum(axis=1)
    bump = 1 + 0.10 * waves * full
    return Part(
        part.points + (volume * bump)[:, None] * normals, part.weights, part.tris, part.colors
    )


def _blob(centre: Array, radii: Array, template: Template, bone: int) -> Part:
    """An ellipsoid that moves with one bone."""
    ball = pv.Sphere(radius=1.0, theta_resolution=20, phi_resolution=16)
    weights = np.zeros((ball.n_points, len(template.bones)))
    weights[:, bone] = 1
    tris = np.asarray(ball.faces).reshape(-1, 4)[:, 1:].astype(np.int64)
    points = centre + np.asarray(ball.points, dtype=np.float64) * radii
    return Part(points, weights, tris, np.ones((len(points), 3)))


def _curtain(template: Template, shape: Shape, cap: Part, ear: Array) -> Part:
    """Long hair that hangs behind the ears onto the shoulders: a closed strip of cloth."""
    neck = shape.heads[template.bones.index("neck01")]
    rows, columns = 14, 41
    centre_y = ear[1] + 0.018
    back = cap.points[:, 1].max() - centre_y
    wide = np.abs(cap.points[:, 0]).max()
    angle = np.radians(np.linspace(-112, 112, columns))
    top, bottom = ear[2] + 0.05, neck[2] - 0.055
    grid = []
    for layer in (0.0, 1.0):
        for r in range(rows):
            t = r / (rows - 1)
            z = top + (bottom - top) * t
            out = 1.0 - 0.10 * np.sin(np.pi * t) + 0.16 * t * t - 0.14 * layer
            ripple = 1 + 0.02 * np.sin(angle * 9) * t
            x = wide * 0.99 * out * np.sin(angle) * ripple
            y = centre_y + (back * out * np.cos(angle) + 0.022 * t) * ripple
            dip = 0.02 * np.cos(angle) * t
            grid.append(np.stack([x, y, np.full(columns, z) - dip], axis=1))
    points = np.concatenate(grid)
    quads = []
    for r in range(2 * rows - 1):
        for c in range(columns - 1):
            a = r * columns + c
            quads.append([a, a + 1, a + columns + 1, a + columns])
    # the second layer runs back up, so the strip is closed at the hem
    order = np.concatenate([np.arange(rows), 2 * rows - 1 - np.arange(rows)])
    points = points.reshape(2 * rows, columns, 3)[order].reshape(-1, 3)
    weights = np.zeros((len(points), len(template.bones)))
    low = np.clip((ear[2] - 0.02 - points[:, 2]) / (ear[2] - bottom), 0, 1) * 0.85
    weights[:, template.bones.index("head")] = 1 - low
    weights[:, template.bones.index("spine01")] = low
    q = np.array(quads)
    tris = np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]])
    return Part(points, weights, tris, np.ones((len(points), 3)))
