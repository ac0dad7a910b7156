"""Deferred shading: a sun with shadow maps, sky and bounce light, ambient occlusion."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from walkers.mesh import Array
from walkers.raster import Camera, Image, Raster

SUN = np.array([-0.62, -0.66, 0.78]) / np.linalg.norm([-0.62, -0.66, 0.78])  # towards the sun
SUN_COLOR = np.array([1.0, 0.93, 0.80]) * 2.3
SKY_COLOR = np.array([0.62, 0.74, 0.95]) * 0.78
BOUNCE_COLOR = np.array([0.80, 0.70, 0.58]) * 0.42


def sun_camera(centre: tuple[float, float, float], half: float) -> Camera:
    """Orthographic view from the sun over `half` metres around a centre."""
    position = np.array(centre) + SUN * 40
    return Camera(
        (float(position[0]), float(position[1]), float(position[2])),
        centre,
        near=5.0,
        far=90.0,
        parallel=half,
    )


def to_linear(srgb: Image | Array) -> Array:
    """sRGB 0..1 to linear light."""
    return np.asarray(np.power(srgb, 2.2))


def to_display(linear: Array) -> Array:
    """Linear light to sRGB 0..255, with a soft shoulder for highlights."""
    x = np.maximum(linear, 0) * 0.80
    shoulder = x * (1 + x / 4.0) / (1 + x * 0.62)
    return np.asarray(255 * np.clip(shoulder, 0, 1) ** (1 / 2.2))


def _offsets(taps: int) -> Array:
    """Points of a sunflower disc of radius 1."""
    k = np.arange(taps) + 0.5
    angle = np.pi * (3 - np.sqrt(5)) * k
    return np.asarray(np.sqrt(k / taps)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1))


def sunlit(points: Array, depth: Image, raster: Raster, radius: float, taps: int) -> Array:
    """Share of the sun (0..1) that reaches world points; `radius` of the penumbra in metres."""
    place = raster.camera.project(points, raster.width, raster.height)
    pixel = raster.height / (2 * raster.camera.parallel)
    total = np.zeros(len(points))
    for dx, dy in _offsets(taps) * radius * pixel:
        col = np.clip((place[:, 0] + dx).astype(np.int32), 0, raster.width - 1)
        row = np.clip((place[:, 1] + dy).astype(np.int32), 0, raster.height - 1)
        total += depth[row, col] > place[:, 2] - 0.022
    return total / taps


def ambient(normals: Array) -> Array:
    """Sky and bounce light (linear RGB) for unit normals."""
    up = (0.5 + 0.5 * normals[..., 2])[..., None]
    # a little more from the open side that the camera stands on
    front = (0.5 - 0.5 * normals[..., 1])[..., None]
    return np.asarray((SKY_COLOR * up + BOUNCE_COLOR * (1 - up)) * (0.72 + 0.40 * front))


def direct(normals: Array) -> Array:
    """Sun's cosine term for unit normals."""
    return np.asarray(np.clip(normals @ SUN, 0, None))


def occlusion(depth: Image, camera: Camera, metres: float, taps: int = 20) -> Array:
    """Screen-space ambient occlusion 0..1 (1: open) from a depth image."""
    height, width = depth.shape
    finite = np.where(np.isfinite(depth), depth, camera.far)
    scale = height / 2 / np.tan(np.radians(camera.angle / 2))
    total = np.zeros(depth.shape)
    rows, cols = np.mgrid[0:height, 0:width]
    radius = metres * scale / finite
    for dx, dy in _offsets(taps):
        r = (rows + dy * radius).astype(np.int32)
        c = (cols + dx * radius).astype(np.int32)
        r2, c2 = np.clip(2 * rows - r, 0, height - 1), np.clip(2 * cols - c, 0, width - 1)
        r, c = np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)
        # two opposite taps cancel the slope of a plane; what remains is concavity
        gap = finite - 0.5 * (finite[r, c] + finite[r2, c2])
        total += np.where(gap < metres * 2, np.clip(gap / metres, 0, 0.5), 0.0)
    return np.asarray(1 - np.clip(1.9 * ndimage.gaussian_filter(total / taps, 1.2), 0, 0.65))
