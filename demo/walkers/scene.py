"""The still scene: a paved square, a row of shops, trees, planters, a bench and the sky."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyvista as pv
from PIL import Image as Picture
from scipy import ndimage

from walkers import light, textures
from walkers.mesh import Array
from walkers.people import SS, Backdrop
from walkers.raster import Camera, Raster

FRONT = 21.0  # y of the shops' wall in metres
PLATE_SS = 3


@dataclass
class Pile:
    """Quads and triangles gathered before they become one mesh with a colour a face."""

    points: list[Array] = field(default_factory=list)
    faces: list[Array] = field(default_factory=list)
    colors: list[Array] = field(default_factory=list)
    count: int = 0

    def add(self, points: Array, quads: Array, colors: Array) -> None:
        """Append faces (N x 4 point indices) with sRGB colours (N x 3, 0..1)."""
        self.points.append(points)
        self.faces.append(quads + self.count)
        self.colors.append(np.broadcast_to(colors, (len(quads), 3)))
        self.count += len(points)

    def box(
        self, low: tuple[float, ...], high: tuple[float, ...], color: tuple[float, ...]
    ) -> None:
        """An axis-aligned box between two corners in metres."""
        x, y, z = zip(low, high, strict=True)
        p = np.array([[x[i & 1], y[i >> 1 & 1], z[i >> 2]] for i in range(8)])
        q = np.array(
            [[0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5], [4, 5, 7, 6], [0, 1, 3, 2]]
        )
        self.add(p, q, np.array(color))

    def tube(self, a: Array, b: Array, r0: float, r1: float, color: tuple[float, ...]) -> None:
        """A tapering round bar from a to b."""
        n = 12
        axis = (b - a) / np.linalg.norm(b - a)
        side = np.cross(axis, [0.3, 0.9, 0.1])
        side /= np.linalg.norm(side)
        other = np.cross(axis, side)
        t = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
        ring = np.cos(t) * side + np.sin(t) * other
        p = np.concatenate([a + r0 * ring, b + r1 * ring])
        i = np.arange(n)
        q = np.stack([i, (i + 1) % n, (i + 1) % n + n, i + n], axis=1)
        self.add(p, q, np.array(color))

    def leaves(
        self,
        rng: np.random.Generator,
        centre: Array,
        radii: Array,
        count: int,
        size: float,
        color: tuple[float, ...],
    ) -> None:
        """Leaf cards on and in an ellipsoid."""
        way = rng.normal(size=(count, 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        place = centre + way * radii * rng.uniform(0.55, 1.05, (count, 1)) ** 0.6
        u = rng.normal(size=(count, 3)) * size
        v = np.cross(way + 0.6 * rng.normal(size=(count, 3)), u) * 0.6
        p = np.stack([place - u, place - v, place + u, place + v], axis=1).reshape(-1, 3)
        tint = 1 + 0.22 * rng.normal(size=(count, 1)) + 0.10 * rng.normal(size=(count, 3))
        self.add(p, np.arange(4 * count).reshape(-1, 4), np.clip(np.array(color) * tint, 0.02, 1))

    def mesh(self) -> tuple[pv.PolyData, Array]:
        """Mesh with a cell colour array 'rgb', and the cells' unit normals."""
        points, faces = np.concatenate(self.points), np.concatenate(self.faces)
        cells = np.concatenate([np.full((len(faces), 1), 4), faces], axis=1).ravel()
        mesh = pv.PolyData(points.astype(np.float32), cells)
        mesh.cell_data["rgb"] = (255 * np.concatenate(self.colors)).astype(np.uint8)
        a, b, d = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 3]]
        n = np.cross(b - a, d - a)
        return mesh, n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)


def _shop(pile: Pile, x: float, width: float, sign: tuple[float, ...], door: bool) -> None:
    """One shop front of the row between two piers, from x to x + width metres."""
    y = FRONT
    frame = (0.16, 0.18, 0.19) if door else (0.30, 0.21, 0.15)
    left, right = x + 0.42, x + width - 0.42
    rows = np.linspace(0.55, 3.0, 13)  # panes reflect more of the sky towards the top
    for low, high in pairwise(rows):
        k = (low / 3.0) ** 2
        glass = (0.11 + 0.20 * k, 0.14 + 0.24 * k, 0.16 + 0.29 * k)
        pile.box((left, y - 0.02, low), (right, y + 0.2, high), glass)
    pile.box((left, y - 0.12, 0.0), (right, y + 0.1, 0.55), frame)
    parts = 4 if width > 4.5 else 3
    for i in range(parts + 1):
        at = left + (right - left) * i / parts
        pile.box((at - 0.045, y - 0.10, 0.5), (at + 0.045, y, 3.0), frame)
    pile.box((left, y - 0.10, 2.3), (right, y, 2.37), frame)
    pile.box((left, y - 0.16, 3.0), (right, y + 0.1, 3.5), sign)
    if door:
        middle = (left + right) / 2
        pile.box((middle - 0.55, y - 0.14, 0.0), (middle + 0.55, y, 2.3), (0.33, 0.17, 0.11))
        pile.box((middle - 0.38, y - 0.16, 0.9), (middle + 0.38, y, 2.1), (0.22, 0.28, 0.31))
    pile.box((left - 0.1, y - 0.28, 0.0), (right + 0.1, y, 0.10), (0.55, 0.53, 0.50))


def _awning(pile: Pile, x: float, width: float, color: tuple[float, ...]) -> None:
    """A striped awning over a shop window."""
    n = 16
    for i in range(n):
        a, b = x + width * i / n, x + width * (i + 1) / n
        p = np.array(
            [
                [a, FRONT - 0.1, 3.05],
                [b, FRONT - 0.1, 3.05],
                [b, FRONT - 1.3, 2.55],
                [a, FRONT - 1.3, 2.55],
                [b, FRONT - 1.3, 2.37],
                [a, FRONT - 1.3, 2.37],
            ]
        )
        tone = color if i % 2 == 0 else (0.93, 0.91, 0.86)
        pile.add(p, np.array([[0, 1, 2, 3], [3, 2, 4, 5]]), np.array(tone))


def _tree(pile: Pile, rng: np.random.Generator, x: float, y: float, height: float) -> None:
    """A round-headed street tree."""
    bark = (0.33, 0.27, 0.22)
    foot, fork = np.array([x, y, 0.0]), np.array([x + 0.05, y, height * 0.45])
    pile.tube(foot, fork, 0.16, 0.11, bark)
    for _ in range(6):
        way = rng.normal(size=3) * [0.9, 0.9, 0.3] + [0, 0, 1.3]
        pile.tube(fork, fork + way, 0.07, 0.03, bark)
    for _ in range(16):
        centre = fork + rng.normal(size=3) * [0.85, 0.8, 0.55] + [0, 0, height * 0.30]
        shade = rng.uniform(0.8, 1.15)
        color = (0.31 * shade, 0.46 * shade, 0.17 * shade)
        pile.leaves(rng, centre, np.array([0.85, 0.85, 0.7]), 1900, 0.036, color)
    pile.box((x - 0.6, y - 0.6, 0), (x + 0.6, y + 0.6, 0.03), (0.30, 0.25, 0.20))


def _planter(pile: Pile, rng: np.random.Generator, x: float, y: float, length: float) -> None:
    """A stone trough with a clipped hedge and flowers."""
    pile.box((x, y, 0), (x + length, y + 0.75, 0.52), (0.66, 0.63, 0.58))
    pile.box((x - 0.04, y - 0.04, 0.46), (x + length + 0.04, y + 0.79, 0.55), (0.72, 0.69, 0.64))
    for i in range(int(length / 0.3)):
        centre = np.array([x + 0.2 + 0.3 * i, y + 0.37, 0.72])
        pile.leaves(rng, centre, np.array([0.3, 0.34, 0.26]), 420, 0.028, (0.24, 0.40, 0.16))
        lower = np.array([0, 0.05, -0.05])
        flower = [(0.80, 0.22, 0.28), (0.92, 0.78, 0.30), (0.85, 0.85, 0.88)][i % 3]
        pile.leaves(rng, centre - lower, np.array([0.28, 0.33, 0.24]), 26, 0.03, flower)


def _bench(pile: Pile, x: float, y: float) -> None:
    """A wooden bench on iron legs, facing the camera."""
    wood, iron = (0.50, 0.33, 0.20), (0.16, 0.17, 0.18)
    for i in range(4):
        pile.box((x, y + 0.12 * i, 0.44), (x + 1.9, y + 0.12 * i + 0.10, 0.48), wood)
    for i in range(3):
        pile.box((x, y + 0.50, 0.56 + 0.13 * i), (x + 1.9, y + 0.54, 0.66 + 0.13 * i), wood)
    for at in (x + 0.15, x + 1.7):
        pile.box((at, y + 0.02, 0), (at + 0.06, y + 0.08, 0.44), iron)
        pile.box((at, y + 0.46, 0), (at + 0.06, y + 0.52, 0.95), iron)


def _far(pile: Pile, rng: np.random.Generator) -> None:
    """Houses and a green belt behind the square, on the right."""
    tones = [(0.78, 0.70, 0.60), (0.70, 0.60, 0.52), (0.82, 0.77, 0.70), (0.66, 0.56, 0.50)]
    for i, x in enumerate(np.arange(2.0, 34.0, 6.0)):
        top = 5.6 + rng.uniform(0, 1.6)
        pile.box((x, 46, 0), (x + 5.9, 50, top), tones[i % 4])
        pile.box((x - 0.1, 45.7, top), (x + 6, 50, top + 0.5), (0.48, 0.30, 0.25))
        for storey in (0.9, 3.2, 5.5):
            for k in range(3):
                if storey + 1.4 < top:
                    at = x + 0.8 + 1.75 * k
                    pile.box((at, 45.93, storey), (at + 0.95, 46, storey + 1.4), (0.2, 0.24, 0.28))
    for x in np.arange(4.5, 30, 1.1):
        centre = np.array([x, 36 + rng.uniform(-1, 1), 0.6 + rng.uniform(0, 0.6)])
        pile.leaves(rng, centre, np.array([1.2, 0.9, 1.1]), 1500, 0.06, (0.25, 0.38, 0.18))


def _furniture() -> Pile:
    """Everything that has one colour a face."""
    rng, pile = np.random.default_rng(7), Pile()
    signs = [(0.16, 0.29, 0.27), (0.45, 0.13, 0.13), (0.14, 0.20, 0.36), (0.62, 0.50, 0.22)]
    edges = [-16.2, -11.6, -7.4, -2.6, 2.2]
    for i, x in enumerate(edges[:-1]):
        width = edges[i + 1] - x
        _shop(pile, x, width, signs[i], door=i % 2 == 0)
        pile.box((x - 0.32, FRONT - 0.14, 0), (x + 0.32, FRONT + 0.1, 3.6), (0.80, 0.75, 0.66))
        pile.box((x - 0.40, FRONT - 0.20, 0), (x + 0.40, FRONT + 0.1, 0.35), (0.62, 0.59, 0.54))
    pile.box((2.2 - 0.32, FRONT - 0.14, 0), (2.5, FRONT + 0.1, 3.6), (0.80, 0.75, 0.66))
    pile.box((-18, FRONT - 0.30, 3.58), (2.6, FRONT + 0.1, 3.78), (0.82, 0.78, 0.70))
    for x in np.arange(-15.2, 1.6, 2.35):
        pile.box((x - 0.1, FRONT - 0.05, 4.35), (x + 1.15, FRONT + 0.1, 6.4), (0.80, 0.77, 0.70))
        pile.box((x, FRONT - 0.07, 4.45), (x + 1.05, FRONT + 0.1, 6.3), (0.17, 0.22, 0.26))
        pile.box((x - 0.2, FRONT - 0.16, 4.27), (x + 1.25, FRONT + 0.1, 4.37), (0.78, 0.74, 0.67))
    _awning(pile, -7.1, 4.2, (0.20, 0.42, 0.36))
    _awning(pile, -2.2, 4.1, (0.62, 0.20, 0.17))
    for x, y, height in ((5.3, 18.5, 4.6), (8.6, 22.0, 5.2), (12.5, 25.0, 5.4), (-9.6, 17.5, 4.7)):
        _tree(pile, rng, x, y, height)
    _planter(pile, rng, -6.6, 18.9, 2.4)
    _planter(pile, rng, -1.0, 18.9, 2.4)
    _planter(pile, rng, 6.6, 17.6, 3.4)
    _bench(pile, 2.55, 19.0)
    pole = (0.15, 0.17, 0.17)
    pile.tube(np.array([3.3, 20.4, 0.0]), np.array([3.3, 20.4, 4.3]), 0.08, 0.05, pole)
    _far(pile, rng)
    return pile


def _quad(corners: list[list[float]], size: float) -> pv.PolyData:
    """A textured rectangle whose texture repeats every `size` metres."""
    points: Array = np.array(corners, dtype=np.float32)
    mesh = pv.PolyData(points, [4, 0, 1, 2, 3])
    wide = np.linalg.norm(points[1] - points[0]) / size
    tall = np.linalg.norm(points[3] - points[0]) / size
    corner: Any = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], dtype=np.float32)
    mesh.active_texture_coordinates = corner
    return mesh


def _texture(image: Array) -> pv.Texture:
    make: Any = pv.Texture
    texture: pv.Texture = make((255 * np.clip(image, 0, 1)).astype(np.uint8))
    texture.repeat, texture.mipmap, texture.interpolate = True, True, True
    texture.SetMaximumAnisotropicFiltering(8)
    return texture


def make_backdrop(camera: Camera, width: int, height: int) -> Backdrop:
    """Render and light the still scene once, at PLATE_SS times the frame's size."""
    furniture, face_normals = _furniture().mesh()
    ground = _quad([[-40, -2, 0], [40, -2, 0], [40, 78, 0], [-40, 78, 0]], 8.0)
    wall = _quad([[-18, FRONT, 0], [2.4, FRONT, 0], [2.4, FRONT, 9], [-18, FRONT, 9]], 2.4)
    big = Raster(camera, width * PLATE_SS, height * PLATE_SS)
    big.add(ground, _texture(textures.paving(2048, 8.0, 5)))
    big.add(wall, _texture(textures.brick(1024, 2.4, 6)))
    big.add(furniture)
    albedo, depth = big.draw()
    furniture.cell_data["rgb"] = np.round(127.5 + 127.5 * face_normals).astype(np.uint8)
    flat = Raster(camera, width * PLATE_SS, height * PLATE_SS)
    for mesh, n in ((ground, (0, 0, 1)), (wall, (0, -1, 0))):
        mesh.cell_data["rgb"] = np.round([[127.5 + 127.5 * v for v in n]]).astype(np.uint8)
        flat.add(mesh)
    flat.add(furniture)
    shown, _ = flat.draw()
    sun = Raster(light.sun_camera((0.0, 15.0, 1.0), 16.0), 4096, 4096)
    sun.add(furniture)
    tree_map = sun.depth()
    flat.close()
    big.close()
    return _lit(camera, albedo, depth, shown, tree_map, sun, (width, height))


def _lit(
    camera: Camera,
    albedo: Array,
    depth: Array,
    shown: Array,
    tree_map: Array,
    sun: Raster,
    size: tuple[int, int],
) -> Backdrop:
    """Light the plate's G-buffer and reduce it to the frame's size."""
    width, height = size
    h, w = depth.shape
    n = shown / 127.5 - 1.0
    n /= np.maximum(np.linalg.norm(n, axis=2, keepdims=True), 1e-6)
    solid = np.isfinite(depth)
    rows, cols = np.mgrid[0:h, 0:w]
    spots = camera.unproject(
        rows.astype(float), cols.astype(float), np.where(solid, depth, 60.0).astype(float), w, h
    )
    view = np.array(camera.position) - spots
    n = np.where((n * view).sum(axis=2, keepdims=True) < 0, -n, n)
    off = (spots + 0.02 * n).reshape(-1, 3)
    lit = light.sunlit(off, tree_map, sun, 0.05, 14).reshape(h, w)
    ao = light.occlusion(depth, camera, 0.5, 24) * light.occlusion(depth, camera, 0.12, 16)
    base = light.to_linear(albedo / 255.0)
    leafy = (albedo[..., 1] > albedo[..., 0] * 1.15) & (albedo[..., 1] > albedo[..., 2] * 1.3)
    cosine = np.where(leafy, 0.35 + 0.5 * light.direct(n), light.direct(n))
    amb = base * light.ambient(n) * ao[..., None]
    direct = base * light.SUN_COLOR * (lit * cosine)[..., None]
    haze = np.clip((np.where(solid, depth, 60) - 20) / 75, 0, 0.55)[..., None]
    air = np.array([0.66, 0.76, 0.88])
    sky = light.to_linear(textures.sky(h, w)) * 1.35
    amb = np.where(solid[..., None], amb * (1 - haze) + air * haze, sky)
    direct = np.where(solid[..., None], direct * (1 - haze), 0)

    def shrink(image: Array) -> Array:
        return np.asarray(image.reshape(height, PLATE_SS, width, PLATE_SS, -1).mean(axis=(1, 3)))

    middle = PLATE_SS // 2
    small = np.where(solid, depth, 80.0).astype(np.float32)
    twice = ndimage.zoom(small, SS / PLATE_SS, order=0, grid_mode=True, mode="nearest")
    return Backdrop(
        shrink(amb),
        shrink(direct),
        twice,
        spots[middle::PLATE_SS, middle::PLATE_SS],
        n[middle::PLATE_SS, middle::PLATE_SS],
        tree_map,
        sun,
    )


def save_plate(backdrop: Backdrop, path: str) -> None:
    """Write the scene without people as a picture."""
    image = light.to_display(backdrop.ambient + backdrop.sun)
    Picture.fromarray(image.astype(np.uint8)).save(path)
