"""An RTSP server of one stream, for tests and benchmarks: `/usr/bin/python3 rtsp_server.py`.

Needs GStreamer, gst-rtsp-server and the system's python3-gi; nothing of PoseRT. Prints `ready`
once it listens. Each picture is grey, with the time it was made in its first rows: 32 blocks,
white for 1, the highest bit first, of time.monotonic() in milliseconds; `making.rtsp.stamp` reads
it. A box runs along the bottom, so that each picture differs.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtspServer  # type: ignore[import-not-found, unused-ignore]  # noqa: E402, F401

BLOCK = 8  # pixels a side
BITS = 32
ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=4000"


def picture(width: int, height: int, number: int) -> bytes:
    """One I420 picture that bears the time it is made at."""
    now = int(time.monotonic() * 1000) % (1 << BITS)
    bits = (now >> bit & 1 for bit in reversed(range(BITS)))
    bar = b"".join((b"\xeb" if bit else b"\x10") * BLOCK for bit in bits)
    row = bar + b"\x80" * (width - len(bar))
    box = bytearray(b"\x80" * width)
    at = number * 4 % (width - 32)
    box[at : at + 32] = b"\xd0" * 32
    rest = b"\x80" * (width * (height - BLOCK - 32))
    return row * BLOCK + rest + bytes(box) * 32 + b"\x80" * (width * height // 2)


def feed(source: Any, width: int, height: int, rate: float, playing: threading.Event) -> None:
    """Pushes pictures at their time until the stream is over."""
    began, number = time.monotonic(), 0
    while playing.is_set():
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        # a picture that comes before the pipeline runs has no time, and may block it for good
        if source.get_state(0)[1] == Gst.State.PLAYING:
            source.push_buffer(Gst.Buffer.new_wrapped(picture(width, height, number)))
        number += 1


def damage(sink: Any, source: Any, share: float, chance: random.Random) -> Any:
    """Passes coded pictures on; of a ``share`` of them, bytes are changed."""
    data = bytearray(sink.emit("pull-sample").get_buffer().extract_dup(0, 1 << 24))
    if chance.random() < share:
        for _ in range(max(4, len(data) // 50)):
            data[chance.randrange(len(data) // 3, len(data))] = chance.randrange(256)
    source.push_buffer(Gst.Buffer.new_wrapped(bytes(data)))
    return Gst.FlowReturn.OK


class Factory(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]
    """Makes the pipeline, shared by all clients."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self.options = options
        self.set_shared(True)
        width, height = options.size
        caps = f"video/x-raw,format=I420,width={width},height={height},framerate={options.rate}/1"
        source = f'appsrc name=raw is-live=true do-timestamp=true format=time caps="{caps}"'
        between = ""
        if options.corrupt:
            coded = "video/x-h264,stream-format=byte-stream,alignment=au"
            between = (
                f"! {coded} ! appsink name=coded emit-signals=true sync=false  appsrc name=bad "
                f'is-live=true do-timestamp=true format=time caps="{coded}"'
            )
        encoder = ENCODER.format(gop=options.gop)
        self.set_launch(f"( {source} ! {encoder} {between} ! rtph264pay name=pay0 pt=96 )")
        self.connect("media-configure", self.configure)

    def configure(self, _: Any, media: Any) -> None:
        """Starts the feeding of a pipeline that is about to play."""
        pipeline, playing = media.get_element(), threading.Event()
        playing.set()
        media.connect("unprepared", lambda _: playing.clear())
        if self.options.corrupt:
            coded, bad = pipeline.get_by_name("coded"), pipeline.get_by_name("bad")
            chance = random.Random(1)
            coded.connect("new-sample", lambda s: damage(s, bad, self.options.corrupt, chance))
        arguments = (pipeline.get_by_name("raw"), *self.options.size, self.options.rate, playing)
        threading.Thread(target=feed, args=arguments, daemon=True).start()


def protect(server: Any, factory: Any, user: str, password: str) -> None:
    """Lets only ``user`` in."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.set_supported_methods(2)  # digest
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    may = GstRtspServer.RTSPPermissions()
    for what in ("media.factory.access", "media.factory.construct"):
        may.add_permission_for_role("user", what, True)
    factory.set_permissions(may)


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    """Serves rtsp://127.0.0.1:PORT/live until it is killed, or for ``--seconds``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--size", type=size, default=(320, 240))
    parser.add_argument("--rate", type=int, default=30)
    parser.add_argument("--gop", type=int, default=30)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--corrupt", type=float, default=0.0, help="share of damaged pictures")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = Factory(options)
    if options.user:
        protect(server, factory, options.user, options.password)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} is not free")
    print(f"ready {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
