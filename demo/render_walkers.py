#!/usr/bin/env python3
"""Render a demo clip and its exact ground truth: `walkers.mp4` and `walkers.truth.json`.

With `--cast crossing` it is `crossing.mp4`: ten people whose ways cross, for tracking.

Bodies come from the anny model (Apache-2.0, MakeHuman data CC0); everything else (clothes,
scene, textures, motion) is made by this script. Needs `pip install 'posert[render]'`; pyvista's
VTK wheel draws off-screen through EGL in software, which on a bare Debian needs
`apt-get install libegl1 libgl1-mesa-dri`. No display or GPU is used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walkers.cast import Member
    from walkers.mesh import Array

FPS, WIDTH, HEIGHT, FRAMES = 30, 1280, 720, 300


def parse_args() -> argparse.Namespace:
    """Command line options."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Render the demo clip and its ground truth.")
    parser.add_argument("--cast", choices=["walkers", "crossing"], default="walkers")
    parser.add_argument("--out", type=Path, help="video to write; default CAST.mp4 beside this")
    parser.add_argument("--truth", type=Path, help="JSON to write; default CAST.truth.json")
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames to render")
    parser.add_argument("--crf", type=float, default=24.0, help="best x264 quality to try")
    parser.add_argument(
        "--max-bytes", type=int, default=950_000, help="largest video; quality drops to keep it"
    )
    parser.add_argument(
        "--preview",
        type=int,
        default=0,
        metavar="N",
        help="write only every Nth frame, as PNG files beside --out, and no video",
    )
    args = parser.parse_args()
    args.out = args.out or here / f"{args.cast}.mp4"
    args.truth = args.truth or here / f"{args.cast}.truth.json"
    return args


def write_video(path: Path, frames: list[Any], crf: float) -> int:
    """Encode YUV frames as H.264; returns the file's size in bytes."""
    import av

    with av.open(str(path), "w", options={"movflags": "+faststart"}) as box:
        stream: Any = box.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": f"{crf:g}", "preset": "slow", "threads": "2"}
        coder = stream.codec_context
        coder.gop_size = FRAMES
        # tagged BT.709, limited range: untagged clips change colour from player to player
        coder.colorspace = coder.color_primaries = coder.color_trc = coder.color_range = 1
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            frame.pts = index
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    return path.stat().st_size


def fit_video(path: Path, frames: list[Any], crf: float, limit: int) -> None:
    """Encode at `crf`, or at the next coarser step that keeps the file within `limit` bytes."""
    while (size := write_video(path, frames, crf)) > limit and crf < 40:
        print(f"crf {crf:g}: {size} bytes, over the limit", file=sys.stderr)
        crf += 1
    print(f"crf {crf:g}: {size} bytes", file=sys.stderr)


def to_yuv(image: Any) -> Any:
    """An RGB frame as planar YUV, the form that the encoder takes."""
    import av

    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709").to_ndarray()


class Crowd:
    """All dressed people and their walks."""

    def __init__(self, cast: list[Member], seconds: float) -> None:
        from scipy import sparse
        from walkers import body, clothes, gait

        template = body.load_template()
        self.skin, self.regressor = body.skin, template.regressor
        self.tris, self.colors, self.parts, self.walkers = [], [], [], []
        self.bodies = []
        for seed, member in enumerate(cast):
            shape = body.make_shape(template, member.phenotype)
            tailor = clothes.Tailor(template, shape, member.outfit, seed)
            part = tailor.build()
            skeleton = body.Skeleton(template, shape)
            self.walkers.append(gait.Walker(skeleton, tailor.sole, member.walk, seconds))
            self.parts.append((part.points, sparse.csr_matrix(part.weights)))
            self.bodies.append((shape.points, sparse.csr_matrix(template.weights)))
            self.tris.append(part.tris)
            self.colors.append(part.colors)

    def pose(self, t: float) -> tuple[list[Array], list[Array]]:
        """Posed mesh points and 17 joints of everyone at time t (s)."""
        points, joints = [], []
        for walker, part, naked in zip(self.walkers, self.parts, self.bodies, strict=True):
            transforms = walker.pose(t)
            points.append(self.skin(*part, transforms))
            joints.append(self.regressor @ self.skin(*naked, transforms))
        return points, joints


def render(args: argparse.Namespace) -> None:
    """Render all frames."""
    import numpy as np
    from PIL import Image
    from walkers import cast, crossing, people, scene, truth
    from walkers.raster import Camera

    began = time.monotonic()
    camera = Camera((0.0, 0.0, 1.9), (0.0, 10.0, 0.86), angle=26.5)
    stage = people.Stage(camera, WIDTH, HEIGHT, scene.make_backdrop(camera, WIDTH, HEIGHT))
    members = crossing.CROSSING if args.cast == "crossing" else cast.CAST
    crowd = Crowd(members, FRAMES / FPS)
    stage.set_people(crowd.tris, crowd.colors)
    listed, video = [], []
    for index in range(0, args.frames, args.preview or 1):
        points, joints = crowd.pose(index / FPS)
        frame, depth = stage.draw(points)
        image = np.clip(np.round(frame), 0, 255).astype(np.uint8)
        entries = [
            truth.person_truth(i, truth.with_neck(j), p, crowd.walkers[i].height, stage, depth)
            for i, (p, j) in enumerate(zip(points, joints, strict=True))
        ]
        listed.append([entry for entry in entries if entry])
        if args.preview:
            Image.fromarray(image).save(args.out.with_name(f"{args.out.stem}-{index:03d}.png"))
        else:
            video.append(to_yuv(image))
        if index % 30 == 0:
            print(f"frame {index}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if video:
        fit_video(args.out, video, args.crf, args.max_bytes)
    document = {
        "clip": args.out.name,
        "fps": FPS,
        "width": WIDTH,
        "height": HEIGHT,
        "keypoints": truth.NAMES,
        "frames": listed,
    }
    args.truth.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def main() -> int:
    """Entry point."""
    args = parse_args()
    if sys.platform == "linux":
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    try:
        import anny  # noqa: F401
        import av  # noqa: F401
        import pyvista  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        print(f"{error.name} is missing: pip install 'posert[render]'", file=sys.stderr)
        return 1
    render(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
