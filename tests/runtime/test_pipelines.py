"""Pipeline strings of machines that are not here, and how values are told to GStreamer."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest

from posert.errors import ConfigError, InputError, OutputError
from posert.runtime.pipelines import reading
from posert.runtime.pipelines.decoding import choose_decoder
from posert.runtime.pipelines.reading import Camera
from posert.runtime.pipelines.text import PipelineText, element, named_elements, quote
from posert.runtime.pipelines.writing import ENCODERS, writing

JETSON = frozenset({"nvv4l2decoder", "nvvidconv", "nvv4l2h264enc", "avdec_h264", "x264enc"})
DEEPSTREAM = frozenset({"nvv4l2decoder", "nvvideoconvert", "nvh264dec", "nvv4l2h264enc"})
NVCODEC = frozenset(
    {"nvh264dec", "nvh265dec", "nvav1dec", "cudaconvert", "cudascale", "cudadownload", "vah264dec"}
)
VA = frozenset({"vah264dec", "vapostproc", "avdec_h264", "h264parse"})
SOFTWARE = frozenset({"avdec_h264", "avdec_h265", "openh264dec", "h264parse", "h265parse"})
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
BGR = "videoconvert n-threads=2 ! video/x-raw,format=BGR"
FILE_END = f"{BGR} ! appsink drop=false max-buffers=4 sync=false"
LIVE_END = f"{BGR} ! appsink drop=true max-buffers=1 sync=false"


@pytest.mark.parametrize(
    ("elements", "decoding"),
    [
        (JETSON, "nvv4l2decoder ! nvvidconv ! video/x-raw,format=BGRx"),
        (DEEPSTREAM, "nvv4l2decoder ! nvvideoconvert ! video/x-raw,format=BGRx"),
        (
            NVCODEC,
            "nvh264dec ! cudaconvert ! video/x-raw(memory:CUDAMemory),format=BGRx ! cudadownload",
        ),
        (VA, "h264parse ! vah264dec ! vapostproc ! video/x-raw,format=BGRx"),
        (SOFTWARE, "h264parse ! avdec_h264"),
    ],
    ids=["Jetson", "DeepStream", "nvcodec", "VA", "software"],
)
def test_a_file_on_each_machine(elements: frozenset[str], decoding: str) -> None:
    made = reading.file(Path("/a/b.mp4"), MP4, "h264", elements)
    source = 'filesrc location="/a/b.mp4" ! qtdemux'
    assert made.text == f"{source} ! {decoding} ! {FILE_END}"


@pytest.mark.parametrize(
    ("elements", "scaling"),
    [
        (JETSON, "nvvidconv ! video/x-raw,format=BGRx,width=640,height=360"),
        (NVCODEC, "cudascale ! video/x-raw(memory:CUDAMemory),format=BGRx,width=640,height=360"),
        (VA, "vapostproc ! video/x-raw,format=BGRx,width=640,height=360"),
        (SOFTWARE, "videoscale ! video/x-raw,width=640,height=360"),
    ],
    ids=["Jetson", "nvcodec", "VA", "software"],
)
def test_pictures_are_scaled_where_they_were_decoded(
    elements: frozenset[str], scaling: str
) -> None:
    made = reading.file(Path("/a.mkv"), "matroska,webm", "h264", elements, size=(640, 360))
    assert scaling in made.text


def test_the_best_decoder_is_taken_and_the_next_without_it() -> None:
    there = {"nvv4l2decoder", "nvh265dec", "vah265dec", "avdec_h265", "libde265dec"}
    for name in ("nvv4l2decoder", "nvh265dec", "vah265dec", "avdec_h265", "libde265dec"):
        assert choose_decoder("hevc", there).name == name
        there.discard(name)
    with pytest.raises(ConfigError, match=r"no GStreamer element here decodes hevc.*avdec_h265"):
        choose_decoder("hevc", there)


def test_rtsp_keeps_the_password_out_of_logs() -> None:
    made = reading.rtsp(
        "rtsp://us%20er:se%40c%22ret@cam:554/x?y=1&z",
        JETSON,
        transport="udp",
        latency_s=0.2,
        open_timeout_s=3,
        codec="h264",
    )
    assert made.text == (
        'rtspsrc location="rtsp://cam:554/x?y=1&z" protocols=udp latency=200 '
        "drop-on-latency=true tcp-timeout=3000000 timeout=3000000 "
        r'user-id="us er" user-pw="se@c\"ret" ! rtph264depay ! nvv4l2decoder ! nvvidconv ! '
        f"video/x-raw,format=BGRx ! {LIVE_END}"
    )
    for shown in (made.safe, repr(made)):
        assert "ret" not in shown.replace("format", "")
        assert "user-pw=***" in shown


@pytest.mark.parametrize(
    "made",
    [
        reading.rtsp("rtsp://cam/x?token=secret&y=1", SOFTWARE),
        reading.http("http://cam/x?token=secret&y=1"),
        reading.custom("souphttpsrc user-pw=secret location=http://cam/x?token=secret&y=1"),
        writing("rtsp://cam/x?token=secret&y=1", "x264enc", SOFTWARE, (64, 64), Fraction(25)),
    ],
    ids=["rtsp", "http", "custom", "writing"],
)
def test_a_token_in_an_address_is_kept_out_of_logs(made: PipelineText) -> None:
    assert "token=secret&y=1" in made.text
    assert "token=***&y=1" in made.safe
    assert "secret" not in made.safe


def test_an_rtsp_stream_of_unknown_codec_is_left_to_gstreamer() -> None:
    made = reading.rtsp("rtsp://cam/x", SOFTWARE)
    assert "protocols=tcp latency=0" in made.text
    assert made.text.endswith(f"application/x-rtp,media=video ! decodebin ! {LIVE_END}")


def test_live_software_decoding_holds_no_frame_back() -> None:
    made = reading.rtsp("rtsp://cam/x", SOFTWARE, codec="hevc")
    assert "rtph265depay ! h265parse ! avdec_h265 max-threads=1" in made.text


def test_http_gives_user_and_password_as_properties() -> None:
    made = reading.http("https://u:p@host/live.m3u8", open_timeout_s=4)
    assert made.text == (
        'souphttpsrc location="https://host/live.m3u8" timeout=4 is-live=true user-id=u user-pw=p '
        f"! decodebin ! {LIVE_END}"
    )


def test_a_camera_sends_jpeg_or_raw_pictures() -> None:
    camera = Camera.parse("v4l2:///dev/video2?width=1280&height=720&fps=30")
    source = 'v4l2src device="/dev/video2" do-timestamp=true'
    wanted = "width=1280,height=720,framerate=30/1"
    assert reading.v4l2(camera, "mjpeg", JETSON).text == (
        f"{source} ! image/jpeg,{wanted} ! nvv4l2decoder mjpeg=1 ! nvvidconv ! "
        f"video/x-raw,format=BGRx ! {LIVE_END}"
    )
    assert (
        reading.v4l2(camera, "raw", JETSON).text == f"{source} ! video/x-raw,{wanted} ! {LIVE_END}"
    )
    assert Camera.parse("10").device == "/dev/video10"  # not camera 1


def test_a_csi_camera() -> None:
    camera = Camera.parse("csi://1?width=1280&height=720&fps=59.94")
    assert reading.csi(camera, JETSON).text == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=1280,"
        "height=720,framerate=2997/50 ! nvvidconv ! video/x-raw,format=BGRx ! " + LIVE_END
    )


@pytest.mark.parametrize("address", ["csi://0?width=wide", "csi://0?fps=1/0", "csi://0?hight=3"])
def test_a_camera_address_that_says_nonsense_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="width, height"):
        Camera.parse(address)


@pytest.mark.parametrize(
    ("encoder", "elements", "middle"),
    [
        (
            "nvv4l2h264enc",
            JETSON,
            "video/x-raw,format=BGRx ! nvvidconv ! video/x-raw(memory:NVMM),format=NV12 ! "
            "nvv4l2h264enc bitrate=7464960 iframeinterval=30 idrinterval=30 insert-sps-pps=true",
        ),
        (
            "nvv4l2h264enc",
            DEEPSTREAM,
            "nvvideoconvert ! video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc",
        ),
        ("nvh264enc", NVCODEC, "format=NV12,colorimetry=bt709 ! nvh264enc gop-size=30"),
        ("nvautogpuh264enc", NVCODEC, "colorimetry=bt709 ! nvautogpuh264enc gop-size=30"),
        ("vah264enc", VA, "format=NV12,colorimetry=bt709 ! vah264enc key-int-max=30"),
        ("x264enc", SOFTWARE, "format=I420,colorimetry=bt709 ! x264enc speed-preset=veryfast"),
        ("openh264enc", SOFTWARE, "format=I420,colorimetry=bt709 ! openh264enc gop-size=30"),
    ],
)
def test_every_encoder(encoder: str, elements: frozenset[str], middle: str) -> None:
    made = writing("/o.mp4", encoder, elements, (1920, 1080), Fraction(30000, 1001) * 1001 / 1000)
    assert made.text.startswith("appsrc ! videoconvert n-threads=2 ! ")
    assert middle in made.text
    assert made.text.endswith(
        "h264parse ! mp4mux fragment-duration=250 ! "
        'filesink location="/o.mp4" buffer-mode=unbuffered sync=false'
    )


@pytest.mark.parametrize(
    ("target", "end"),
    [
        ("/o.mkv", 'matroskamux ! filesink location="/o.mkv" buffer-mode=unbuffered sync=false'),
        (
            "rtsp://u:secret@server:8554/x",
            'rtspclientsink location="rtsp://server:8554/x" protocols=tcp latency=0 user-id=u '
            "user-pw=secret",
        ),
        (
            "udp://239.0.0.1:5000",
            "mpegtsmux alignment=7 ! udpsink host=239.0.0.1 port=5000 sync=false",
        ),
    ],
)
def test_every_target(target: str, end: str) -> None:
    made = writing(target, "x264enc", SOFTWARE, (640, 360), Fraction(25))
    assert made.text.endswith(end)
    assert "secret" not in made.safe


@pytest.mark.parametrize(
    "target",
    [
        "/o.gif", "/o", "udp://host", "udp://u:secret@host:x", "ftp://host/x",
        "rtmp://u:secret@host/x", "rtsp://u:secret@[::1/x",
    ],
)  # fmt: skip
def test_a_target_nothing_writes_to_is_refused(target: str) -> None:
    with pytest.raises(OutputError) as refused:
        writing(target, "x264enc", SOFTWARE, (640, 360), Fraction(25))
    assert "secret" not in str(refused.value)


def test_an_unknown_encoder_is_refused_with_those_known() -> None:
    with pytest.raises(ConfigError, match="nvv4l2h264enc"):
        writing("/o.mp4", "x265", SOFTWARE, (640, 360), Fraction(25))
    assert next(iter(ENCODERS)) == "nvv4l2h264enc"


def test_a_container_gstreamer_is_not_used_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="--io ffmpeg"):
        reading.file(Path("/a.wmv"), "asf", "wmv3", SOFTWARE)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("plain-1.mp4", "plain-1.mp4"),
        ("/a b.mp4", '"/a b.mp4"'),
        ('/a"b', r'"/a\"b"'),
        ("/a\\b", r'"/a\\b"'),
        ("/a ! filesink location=/b", '"/a ! filesink location=/b"'),
        ("", '""'),
    ],
)
def test_values_are_escaped(value: str, quoted: str) -> None:
    assert quote(value) == quoted


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\udcffb"])
def test_a_value_no_pipeline_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="--io ffmpeg"):
        quote(value)


def test_a_password_no_pipeline_can_hold_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="no password with unreadable") as refused:
        reading.rtsp("rtsp://me:sec%0Aret@cam/x", SOFTWARE)
    assert "ret" not in str(refused.value)


def test_whatever_a_value_holds_it_adds_no_element() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        value = "".join(chance.choices("ab \"'\\!=;,./", k=chance.randrange(1, 12)))
        made = element("filesrc", location=f"/{value}") >> element("fakesink")
        assert named_elements(made.text) == ["filesrc", "fakesink"], value


def test_the_elements_of_a_pipeline_are_told_from_formats_and_properties() -> None:
    text = (
        "v4l2src device=/dev/video0 ! video/x-raw, width=320 ! tee name=t ! queue ! t. ! fakesink"
    )
    assert named_elements(text) == ["v4l2src", "tee", "queue", "fakesink"]
    assert named_elements("rtspsrc user-pw = 'a ! b' user-id = me ! fakesink") == [
        "rtspsrc", "fakesink"
    ]  # fmt: skip
