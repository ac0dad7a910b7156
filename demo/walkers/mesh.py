"""Triangle meshes that carry skinning weights: subdivide, smooth, inflate, clip, merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[Any]  # of floats unless said otherwise
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass
class Part:
    """A mesh in the rest pose (metres): points, bone weights, triangles and sRGB colours 0..1."""

    points: Array
    weights: Array
    tris: Ints
    colors: Array

    @staticmethod
    def of(points: Array, weights: Array, tris: Ints) -> Part:
        """The part made of `tris`, with unused points dropped and white vertices."""
        used, flat = np.unique(tris, return_inverse=True)
        return Part(points[used], weights[used], flat.reshape(-1, 3), np.ones((len(used), 3)))

    def map(self, matrix: sparse.csr_matrix, tris: Ints) -> Part:
        """The part whose points, weights and colours are linear mixes of this one's."""
        return Part(matrix @ self.points, matrix @ self.weights, tris, matrix @ self.colors)


def triangulate(quads: Ints) -> Ints:
    """Two triangles for each quadrilateral, without the degenerate ones."""
    tris = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    good = (tris[:, 0] != tris[:, 1]) & (tris[:, 1] != tris[:, 2]) & (tris[:, 0] != tris[:, 2])
    return np.asarray(tris[good])


def _edges(tris: Ints) -> tuple[Ints, Ints]:
    """Unique edges (E x 2) and, for each triangle, the indices of its edges 01, 12, 20."""
    pairs = np.sort(np.concatenate([tris[:, [0, 1]], tris[:, [1, 2]], tris[:, [2, 0]]]), axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return unique, inverse.reshape(3, -1).T


def _lerp_matrix(count: int, edges: Ints, t: Array) -> sparse.csr_matrix:
    """Identity on `count` points followed by one row per edge: (1 - t) a + t b."""
    extra = len(edges)
    rows = np.concatenate([np.arange(count), np.tile(count + np.arange(extra), 2)])
    cols = np.concatenate([np.arange(count), edges[:, 0], edges[:, 1]])
    data = np.concatenate([np.ones(count), 1 - t, t])
    return sparse.csr_matrix((data, (rows, cols)), shape=(count + extra, count))


def subdivide(part: Part) -> Part:
    """Every triangle into four, at the edge midpoints."""
    count = len(part.points)
    edges, of_tri = _edges(part.tris)
    mid = of_tri + count
    a, b, c = part.tris.T
    ab, bc, ca = mid.T
    tris = np.concatenate(
        [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
    return part.map(_lerp_matrix(count, edges, np.full(len(edges), 0.5)), tris)


def clip(part: Part, field: Array) -> Part:
    """The portion where the linearly interpolated `field` (one value a point) is positive."""
    field = np.where(np.abs(field) < 1e-6, 1e-6, field)
    count = len(part.points)
    edges, of_tri = _edges(part.tris)
    ends = field[edges]
    cut = (ends[:, 0] > 0) != (ends[:, 1] > 0)
    new_id = np.full(len(edges), -1)
    new_id[cut] = count + np.arange(int(cut.sum()))
    t = ends[cut, 0] / (ends[cut, 0] - ends[cut, 1])
    inside = field[part.tris] > 0
    pieces = [part.tris[inside.all(axis=1)]]
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        e_ij, e_ki = new_id[of_tri[:, i]], new_id[of_tri[:, k]]
        v = part.tris
        one = inside[:, i] & ~inside[:, j] & ~inside[:, k]
        pieces.append(np.stack([v[:, i], e_ij, e_ki], axis=1)[one])
        two = ~inside[:, i] & inside[:, j] & inside[:, k]
        pieces.append(np.stack([e_ij, v[:, j], v[:, k]], axis=1)[two])
        pieces.append(np.stack([e_ij, v[:, k], e_ki], axis=1)[two])
    grown = part.map(_lerp_matrix(count, edges[cut], t), np.concatenate(pieces))
    used, flat = np.unique(grown.tris, return_inverse=True)
    return Part(grown.points[used], grown.weights[used], flat.reshape(-1, 3), grown.colors[used])


def normal_matrix(tris: Ints, count: int) -> sparse.csr_matrix:
    """Sums triangle vectors into their points: (count x triangles)."""
    cols = np.repeat(np.arange(len(tris)), 3)
    return sparse.csr_matrix((np.ones(len(cols)), (tris.ravel(), cols)), (count, len(tris)))


def vertex_normals(points: Array, tris: Ints, gather: sparse.csr_matrix) -> Array:
    """Area-weighted unit normals, one a point; `gather` comes from `normal_matrix`."""
    a, b, c = points[tris[:, 0]], points[tris[:, 1]], points[tris[:, 2]]
    total = gather @ np.cross(b - a, c - a)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(total / np.maximum(length, 1e-12))


def normals_of(part: Part) -> Array:
    """Unit normals of a part in the rest pose."""
    return vertex_normals(part.points, part.tris, normal_matrix(part.tris, len(part.points)))


def smooth(part: Part, rounds: int, amount: float = 0.5) -> Part:
    """Laplacian smoothing of the points; open borders stay where they are."""
    edges, of_tri = _edges(part.tris)
    count = len(part.points)
    uses = np.bincount(of_tri.ravel(), minlength=len(edges))
    fixed = np.zeros(count, dtype=bool)
    fixed[edges[uses == 1].ravel()] = True
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (count, count))
    degree = np.maximum(np.asarray(adjacency.sum(axis=1)), 1)
    points = part.points
    for _ in range(rounds):
        mean = (adjacency @ points) / degree
        points = np.where(fixed[:, None], points, points + amount * (mean - points))
    return Part(points, part.weights, part.tris, part.colors)


def merge(parts: list[Part]) -> Part:
    """All parts as one."""
    starts = np.cumsum([0] + [len(p.points) for p in parts[:-1]])
    return Part(
        np.concatenate([p.points for p in parts]),
        np.concatenate([p.weights for p in parts]),
        np.concatenate([p.tris + s for p, s in zip(parts, starts, strict=True)]),
        np.concatenate([p.colors for p in parts]),
    )
