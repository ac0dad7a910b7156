"""Off-screen rasterisation with VTK: colour, normal and depth images of meshes, unlit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvista as pv
from vtkmodules.util import numpy_support
from vtkmodules.vtkCommonCore import vtkFloatArray, vtkUnsignedCharArray

from walkers.mesh import Array

Image = npt.NDArray[Any]  # float32, H x W (x 3)


_to_numpy: Any = numpy_support.vtk_to_numpy


@dataclass(frozen=True)
class Camera:
    """A pinhole (or, with `parallel` metres of half height, orthographic) camera, z up."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    angle: float = 30.0  # vertical field of view in degrees
    near: float = 1.0
    far: float = 90.0
    parallel: float = 0.0

    def axes(self) -> Array:
        """Rows: right, down and forward unit vectors in world coordinates."""
        forward = np.array(self.target) - np.array(self.position)
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def to_eye(self, points: Array) -> Array:
        """World points to (right, down, forward) metres from the camera."""
        return np.asarray((points - np.array(self.position)) @ self.axes().T)

    def project(self, points: Array, width: int, height: int) -> Array:
        """World points to pixel x, y (pixel centres at .5) and depth in metres."""
        eye = self.to_eye(points)
        half = self.parallel or np.tan(np.radians(self.angle / 2))
        depth = np.ones(len(eye)) if self.parallel else np.maximum(eye[:, 2], 1e-3)
        scale = height / 2 / half
        x = width / 2 + scale * eye[:, 0] / depth
        y = height / 2 + scale * eye[:, 1] / depth
        return np.stack([x, y, eye[:, 2]], axis=1)

    def unproject(self, rows: Array, cols: Array, depth: Array, width: int, height: int) -> Array:
        """World points of pixels at the given depth (metres along the viewing axis)."""
        half = np.tan(np.radians(self.angle / 2))
        scale = height / 2 / half
        x = (cols + 0.5 - width / 2) / scale * depth
        y = (rows + 0.5 - height / 2) / scale * depth
        return np.asarray(np.stack([x, y, depth], axis=-1) @ self.axes() + np.array(self.position))


class Raster:
    """An off-screen window with fixed camera; draws point or texture colours without light."""

    def __init__(self, camera: Camera, width: int, height: int) -> None:
        self.camera, self.width, self.height = camera, width, height
        self.plotter: Any = pv.Plotter(
            off_screen=True, window_size=[width, height], lighting="none"
        )
        self.plotter.renderer.SetBackground(0, 0, 0)
        self.plotter.renderer.SetUseFXAA(False)
        window: Any = self.plotter.ren_win
        window.SetMultiSamples(0)
        self._aim()

    def _aim(self) -> None:
        view, cam = self.plotter.renderer.GetActiveCamera(), self.camera
        view.SetPosition(*cam.position)
        view.SetFocalPoint(*cam.target)
        view.SetViewUp(0, 0, 1)
        view.SetViewAngle(cam.angle)
        if cam.parallel:
            view.SetParallelProjection(True)
            view.SetParallelScale(cam.parallel)
        view.SetClippingRange(cam.near, cam.far)
        self.plotter.camera_set = True

    def add(self, mesh: pv.PolyData, texture: pv.Texture | None = None) -> Any:
        """Show a mesh, coloured by its active 'rgb' array or a texture."""
        if texture is not None:
            actor = self.plotter.add_mesh(mesh, texture=texture, lighting=False, render=False)
        else:
            actor = self.plotter.add_mesh(
                mesh,
                scalars="rgb",
                rgb=True,
                lighting=False,
                interpolate_before_map=False,
                render=False,
            )
        self._aim()
        return actor

    def draw(self) -> tuple[Image, Image]:
        """The colour image (H x W x 3, 0..255) and depths in metres (inf where empty)."""
        window = self.plotter.ren_win
        self._aim()
        window.Render()
        pixels = vtkUnsignedCharArray()
        w, h = self.width, self.height
        window.GetPixelData(0, 0, w - 1, h - 1, 0, pixels, 0)
        color = _to_numpy(pixels).reshape(h, w, 3)[::-1].astype(np.float32)
        return color, self.depth(render=False)

    def depth(self, render: bool = True) -> Image:
        """Depths in metres along the viewing axis, inf where nothing was drawn."""
        window, cam = self.plotter.ren_win, self.camera
        if render:
            self._aim()
            window.Render()
        values = vtkFloatArray()
        window.GetZbufferData(0, 0, self.width - 1, self.height - 1, values)
        z = _to_numpy(values).reshape(self.height, self.width)[::-1]
        n, f = cam.near, cam.far
        metres = n + z * (f - n) if cam.parallel else n * f / (f - z * (f - n))
        return np.where(z >= 1.0, np.float32(np.inf), metres).astype(np.float32)

    def close(self) -> None:
        """Free the window."""
        self.plotter.close()
