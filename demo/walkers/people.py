"""The walkers' image: rasterise the posed bodies, shade them and lay them over the backdrop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyvista as pv
from scipy import ndimage, sparse

from walkers import light
from walkers.mesh import Array, Ints, normal_matrix, vertex_normals
from walkers.raster import Camera, Image, Raster

SS = 2  # supersampling of the people in each direction
MAP = 2048  # pixels of the people's shadow map


@dataclass(frozen=True)
class Backdrop:
    """The still scene: linear ambient and sun parts (H x W x 3), depth (m) and sunlit points."""

    ambient: Array
    sun: Array
    depth: Image  # at SS times the frame's size
    points: Array  # world points of the frame's pixels (H x W x 3)
    normals: Array
    tree_map: Image  # the sun's depth image of the still scene
    tree_raster: Raster


class Stage:
    """Draws frames of people over a backdrop."""

    def __init__(self, camera: Camera, width: int, height: int, backdrop: Backdrop) -> None:
        self.width, self.height, self.camera = width, height, camera
        self.back = backdrop
        self.raster = Raster(camera, width * SS, height * SS)
        self.sun = Raster(light.sun_camera((0.0, 9.5, 0.8), 9.0), MAP, MAP)
        self.base = light.to_display(backdrop.ambient + backdrop.sun)

    def set_people(self, tris: list[Ints], colors: list[Array]) -> None:
        """Fix topology and sRGB colours of all people (points come with each frame)."""
        starts = np.cumsum([0] + [len(c) for c in colors[:-1]])
        self.tris = np.concatenate([t + s for t, s in zip(tris, starts, strict=True)])
        self.rgb = (255 * np.clip(np.concatenate(colors), 0, 1)).astype(np.uint8)
        count = len(self.rgb)
        self.gather: sparse.csr_matrix = normal_matrix(self.tris, count)
        cells = np.concatenate([np.full((len(self.tris), 1), 3), self.tris], axis=1).ravel()
        self.mesh = pv.PolyData(np.zeros((count, 3), dtype=np.float32), cells)
        self.mesh["rgb"] = self.rgb
        self.mesh["normal"] = np.zeros((count, 3), dtype=np.uint8)
        self.actor = self.raster.add(self.mesh)
        self.actor.mapper.SetScalarModeToUsePointFieldData()
        self.sun_mesh = pv.PolyData(np.zeros((count, 3), dtype=np.float32), cells)
        self.sun_mesh["rgb"] = self.rgb
        self.sun.add(self.sun_mesh)

    def draw(self, points: list[Array]) -> tuple[Array, Image]:
        """A frame (H x W x 3, 0..255) and the people's and backdrop's depth at SS size."""
        place = np.concatenate(points)
        normals = vertex_normals(place, self.tris, self.gather)
        self.mesh.points = place.astype(np.float32)
        self.mesh["normal"] = np.round(127.5 + 127.5 * normals).astype(np.uint8)
        self.sun_mesh.points = place.astype(np.float32)
        sun_depth = self.sun.depth()
        self.actor.mapper.SelectColorArray("normal")
        shown, depth = self.raster.draw()
        self.actor.mapper.SelectColorArray("rgb")
        albedo, _ = self.raster.draw()
        mask = depth < self.back.depth
        color = self._shade(mask, shown, albedo, depth, sun_depth)
        joint = np.minimum(depth, self.back.depth)
        return self._compose(mask, color, sun_depth), joint

    def _shade(
        self, mask: Array, shown: Image, albedo: Image, depth: Image, sun_depth: Image
    ) -> Array:
        """Linear colour of the people's pixels (N x 3)."""
        rows, cols = np.nonzero(mask)
        h, w = mask.shape
        n = shown[rows, cols] / 127.5 - 1.0
        n = n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-6)
        spot = self.camera.unproject(rows, cols, depth[rows, cols].astype(np.float64), w, h)
        view = np.array(self.camera.position) - spot
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        n = np.where((n * view).sum(axis=1, keepdims=True) < 0, -n, n)  # inside of hems
        off = spot + 0.012 * n
        lit = light.sunlit(off, sun_depth, self.sun, 0.012, 6)
        lit *= light.sunlit(off, self.back.tree_map, self.back.tree_raster, 0.05, 4)
        base = light.to_linear(albedo[rows, cols] / 255.0)
        cosine = light.direct(n)
        wrapped = np.clip((n @ light.SUN + 0.15) / 1.15, 0, None)  # soft edge, as on skin, cloth
        half = view + light.SUN
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        gloss = 0.05 * np.clip((n * half).sum(axis=1), 0, 1) ** 24 * lit * (cosine > 0)
        rim = 0.10 * (1 - np.clip((n * view).sum(axis=1), 0, 1)) ** 3
        near = light.occlusion(
            np.minimum(depth, self.back.depth)[::SS, ::SS], self.camera, 0.09, 10
        )
        ao = near[rows // SS, cols // SS][:, None]
        ambient = light.ambient(n) * ao
        total = base * (ambient + light.SUN_COLOR * (lit * 0.5 * (cosine + wrapped))[:, None])
        total += light.SUN_COLOR * gloss[:, None] + light.SKY_COLOR * rim[:, None] * base * ao
        out = np.zeros((*mask.shape, 3), dtype=np.float32)
        out[rows, cols] = light.to_display(total)
        return out

    def _compose(self, mask: Array, color: Array, sun_depth: Image) -> Array:
        """Average the people's samples and lay them over the shadowed backdrop."""
        frame = self._shadowed(sun_depth)
        h, w = self.height, self.width
        share = mask.reshape(h, SS, w, SS).mean(axis=(1, 3))[..., None]
        people = color.reshape(h, SS, w, SS, 3).mean(axis=(1, 3))
        return np.asarray(frame * (1 - share) + people)

    def _shadowed(self, sun_depth: Image) -> Array:
        """The backdrop with the people's cast and contact shadows."""
        frame = self.base.copy()
        spots = self.back.points
        place = self.sun.camera.project(spots.reshape(-1, 3), MAP, MAP)
        hit = ndimage.maximum_filter(np.isfinite(sun_depth[::8, ::8]), 5)
        col = np.clip(place[:, 0].astype(int) // 8, 0, MAP // 8 - 1)
        row = np.clip(place[:, 1].astype(int) // 8, 0, MAP // 8 - 1)
        near = hit[row, col].reshape(frame.shape[:2])
        r, c = np.nonzero(near)
        wide = light.sunlit(spots[r, c], sun_depth, self.sun, 0.028, 9)
        contact = light.sunlit(spots[r, c], sun_depth, self.sun, 0.10, 12)
        soft = 0.80 + 0.20 * contact
        frame[r, c] = light.to_display(
            self.back.ambient[r, c] * soft[:, None] + self.back.sun[r, c] * wide[:, None]
        )
        return frame
