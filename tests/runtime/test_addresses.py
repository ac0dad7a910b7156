"""What is an address, of which kind, and how it is shown."""

from __future__ import annotations

import pytest

from posert.runtime.sources.addresses import is_address, kind_of, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://me:secret@host:554/a", "rtsp://me:***@host:554/a"),
        ("rtsp://me:se:c@ret@host/a", "rtsp://me:***@host/a"),
        ("rtsp://me:s%40%2Fx@host/a", "rtsp://me:***@host/a"),
        ("rtsp://me:se/c?r#et@host/a", "rtsp://me:***@host/a"),
        ("rtsp://me:secret@host/a@b", "rtsp://me:***@host/a@b"),
        ("rtsp://me:secret@[::1]:554/a", "rtsp://me:***@[::1]:554/a"),
        ("rtsp://:secret@host/a", "rtsp://:***@host/a"),
        ("rtsp://me@host/a", "rtsp://me@host/a"),
        ("rtsp://[::1]:554/a@b", "rtsp://[::1]:554/a@b"),
        ("http://host:8080/a", "http://host:8080/a"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("http://host/a?user=me&password=secret", "http://host/a?user=me&password=***"),
        ("http://host/a?token=se_cret&x=1", "http://host/a?token=***&x=1"),
        ("rtsp://host/user=me_password=secret_channel=1", "rtsp://host/user=me_password=***"),
        ("rtsp://host/monkey=1", "rtsp://host/monkey=1"),
    ],
)
def test_passwords_are_hidden(address: str, shown: str) -> None:
    assert without_password(address) == shown


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", "v4l2"), ("10", "v4l2"), ("/dev/video2", "v4l2"), ("v4l2:///dev/video0", "v4l2"),
        ("/dev/v4l/by-id/usb-Some_Camera-index0", "v4l2"), ("csi://0", "csi"),
        ("rtsp://h/a", "rtsp"), ("RTSPS://h/a", "rtsp"), ("https://h/a", "http"),
        ("udp://0.0.0.0:5000", "udp"), ("rtmp://h/a", "stream"), ("gst://videotestsrc", "gst"),
        ("clip.mp4", "file"), ("1.mp4", "file"), ("./0", "file"), ("dir/2", "file"),
    ],
)  # fmt: skip
def test_cameras_and_urls_are_told_from_files(text: str, kind: str) -> None:
    assert kind_of(text) == kind
    assert is_address(text) is (kind != "file")
