"""NV12 pictures, made up, in memory of the host and of a GPU."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange

from posert.runtime.cuda import Gpu
from posert.runtime.device.colours import Colours
from posert.runtime.device.pictures import Nv12Picture, Pool
from posert.types import Image


def noise(width: int, height: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """NV12: smooth shades with noise upon them, dark to light, beyond the usual range too."""
    rng = np.random.default_rng(seed)
    lines = np.linspace(0, 255, height * 3 // 2)[:, None]
    noisy = lines + rng.normal(0, 40, (height * 3 // 2, width))
    return noisy.clip(0, 255).astype(np.uint8)


def on_host(nv12: npt.NDArray[np.uint8], colours: Colours) -> Image:
    """The picture as FFmpeg converts what it decoded itself."""
    height, width = len(nv12) * 2 // 3, nv12.shape[1]
    chroma = nv12[height:].reshape(-1, 2).T
    planes = np.concatenate([nv12[:height].ravel(), chroma.ravel()])
    frame = av.VideoFrame.from_ndarray(planes.reshape(-1, width), "yuv420p")
    frame.color_range = ColorRange.JPEG if colours.full else ColorRange.MPEG
    frame.colorspace = colours.matrix
    return np.asarray(frame.to_ndarray(format="bgr24"))


def put(gpu: Gpu, nv12: npt.NDArray[np.uint8], colours: Colours) -> Nv12Picture:
    """The picture in device memory of ours."""
    pool = Pool(gpu, nv12.shape[1], len(nv12) * 2 // 3, colours)
    with gpu.current():
        stream, decoders_own = gpu.stream(), gpu.device_buffer(nv12.nbytes)
        pinned = gpu.pinned_buffer(nv12.nbytes)
        np.copyto(pinned.view(nv12.shape, np.uint8), nv12)
        stream.upload(decoders_own, pinned.view(nv12.shape, np.uint8))
        picture = pool.picture(decoders_own.address, stream)
        stream.synchronize()
        for each in (decoders_own, pinned, stream):
            each.close()
    return picture
