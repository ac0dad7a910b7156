"""Where a missing element comes from: Debian's packages, JetPack's and DeepStream's components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from posert.runtime.elements.library import available

_JETPACK: Final = "JetPack: nvidia-l4t-gstreamer"
_NVCODEC: Final = "Debian: gstreamer1.0-plugins-bad, and NVIDIA's driver with a GPU that does it"
_VA: Final = "Debian: gstreamer1.0-plugins-bad, and a GPU with a VA driver"
_PACKAGES: Final[dict[str, str]] = {
    "Debian: libgstreamer1.0-0": "filesrc filesink fdsrc queue tee capsfilter identity fakesink",
    "Debian: gstreamer1.0-plugins-base": (
        "appsink appsrc decodebin videoconvert videoscale videotestsrc"
    ),
    "Debian: gstreamer1.0-plugins-good": (
        "qtdemux matroskademux avidemux flvdemux mp4mux qtmux matroskamux rtspsrc rtph264depay "
        "rtph265depay rtpjpegdepay rtpbin udpsrc udpsink souphttpsrc v4l2src jpegdec vp8dec "
        "vp9dec multipartdemux"
    ),
    "Debian: gstreamer1.0-plugins-bad": (
        "h264parse h265parse av1parse vp9parse jpegparse mpegvideoparse mpeg4videoparse tsdemux "
        "mpegpsdemux mpegtsmux openh264dec openh264enc av1dec dav1ddec libde265dec"
    ),
    "Debian: gstreamer1.0-plugins-ugly": "x264enc",
    "Debian: gstreamer1.0-libav": (
        "avdec_h264 avdec_h265 avdec_av1 avdec_vp9 avdec_vp8 avdec_mpeg4 avdec_mpeg2video "
        "avdec_mjpeg"
    ),
    "Debian: gstreamer1.0-rtsp": "rtspclientsink",
    _JETPACK: "nvvidconv nvarguscamerasrc",
    f"{_JETPACK}; on x86 DeepStream": "nvv4l2decoder",
    f"{_JETPACK} (not on Orin Nano, which has no encoder); on x86 DeepStream": "nvv4l2h264enc",
    "DeepStream": "nvvideoconvert",
    _NVCODEC: (
        "nvh264dec nvh265dec nvav1dec nvvp8dec nvvp9dec nvjpegdec nvmpeg4videodec nvmpeg2videodec "
        "nvh264enc nvautogpuh264enc cudaconvert cudascale cudadownload"
    ),
    _VA: "vah264dec vah265dec vaav1dec vavp8dec vavp9dec vampeg2dec vajpegdec vah264enc vapostproc",
}
_WHERE: Final = {name: package for package, names in _PACKAGES.items() for name in names.split()}


def package_of(element: str) -> str | None:
    """What brings ``element``, as ``Debian: gstreamer1.0-libav``; None for one nobody knows."""
    return _WHERE.get(element)


def missing(names: Iterable[str]) -> str | None:
    """One line on those of ``names`` that are not installed, and what brings them, or None."""
    lacking = list(dict.fromkeys(name for name in names if name not in available()))
    if not lacking:
        return None
    unknown = "no package known; is it spelt so?"
    told = (f"{name} ({package_of(name) or unknown})" for name in lacking)
    return f"GStreamer lacks {', '.join(told)}"
