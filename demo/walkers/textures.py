"""Procedural textures (sRGB 0..1): paving stones, brickwork and sky; all tile seamlessly."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from walkers.mesh import Array, Ints


def _clouds(size: int, cells: int, rng: np.random.Generator) -> Array:
    """Tiling smooth noise, zero mean and unit spread, with about `cells` bumps a side."""
    raw = rng.normal(size=(size, size))
    soft = ndimage.gaussian_filter(raw, size / cells / 3, mode="wrap")
    return np.asarray((soft - soft.mean()) / soft.std())


def _stones(size: int, rows: int, columns: int, joint: float) -> tuple[Ints, Array]:
    """Running bond: stone number and distance to the joint (in stone heights)."""
    y, x = np.mgrid[0:size, 0:size] / size
    row = np.floor(y * rows).astype(int)
    shift = np.where(row % 2 == 0, 0.0, 0.5)
    across = x * columns + shift
    column = np.floor(across).astype(int) % columns
    fx, fy = across % 1, (y * rows) % 1
    aspect = rows / columns
    edge = np.minimum(np.minimum(fx, 1 - fx) * aspect, np.minimum(fy, 1 - fy)) - joint
    return row * columns + column, edge


def paving(size: int, metres: float, seed: int) -> Array:
    """Warm grey slabs of about 80 x 50 cm with darker joints and faint stains."""
    rng = np.random.default_rng(seed)
    rows, columns = round(metres / 0.5), round(metres / 0.8)
    stone, edge = _stones(size, rows, columns, 0.012)
    tone = 0.56 + 0.035 * rng.normal(size=rows * columns)[stone]
    warm = 0.012 * rng.normal(size=rows * columns)[stone]
    grain = 0.010 * _clouds(size, 500, rng) + 0.012 * _clouds(size, 40, rng)
    stain = 0.018 * _clouds(size, 7, rng)
    value = tone + grain + stain
    value *= np.where(edge < 0, 0.62, np.where(edge < 0.02, 0.92, 1.0))
    return np.stack([value + 0.025 + warm, value, value - 0.045 - warm], axis=2)


def brick(size: int, metres: float, seed: int) -> Array:
    """Red-brown bricks of 24 x 8 cm with light mortar."""
    rng = np.random.default_rng(seed)
    rows, columns = round(metres / 0.08), round(metres / 0.24)
    stone, edge = _stones(size, rows, columns, 0.06)
    tone = 1 + 0.11 * rng.normal(size=rows * columns)[stone] + 0.05 * _clouds(size, 90, rng)
    base = np.array([0.62, 0.38, 0.29]) * (tone + 0.04 * _clouds(size, 5, rng))[..., None]
    mortar = np.array([0.70, 0.65, 0.58])
    return np.asarray(np.where((edge < 0)[..., None], mortar, base))


def sky(height: int, width: int) -> Array:
    """Blue gradient with thin clouds, for every pixel of the frame."""
    rng = np.random.default_rng(3)
    rows = np.linspace(0, 1, height)[:, None]
    t = np.clip(rows / 0.40, 0, 1)[..., None]
    top, low = np.array([0.42, 0.62, 0.86]), np.array([0.84, 0.90, 0.95])
    base = np.broadcast_to(top * (1 - t) + low * t, (height, width, 3))
    wide = ndimage.zoom(rng.normal(size=(24, 14)), (height / 24, width / 14), order=3)
    fine = ndimage.zoom(rng.normal(size=(60, 40)), (height / 60, width / 40), order=3)
    cover = np.clip((wide + 0.5 * fine) * 0.45, 0, 0.75)[..., None]
    return np.asarray(base * (1 - cover) + 0.97 * cover)
