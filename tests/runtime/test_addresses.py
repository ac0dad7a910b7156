"""What is an address, of which kind, and how it is shown."""

from __future__ import annotations

import pytest

from posert.errors import InputError
from posert.runtime.pipelines.passwords import without_passwords
from posert.runtime.sources.addresses import is_address, kind_of, without_password
from posert.runtime.sources.inputs import open_source
from posert.runtime.sources.source import Reading


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
        ("http://host/a?token=ab/c==&x=1", "http://host/a?token=***&x=1"),
        ("http://host/a?api-key=secret", "http://host/a?api-key=***"),
        (
            "gst://rtspsrc location=rtsp://h/x user-id=me user-pw=se&cret ! decodebin",
            "gst://rtspsrc location=rtsp://h/x user-id=me user-pw=*** ! decodebin",
        ),
        ("gst://rtspsrc user-pw = 'my se!cret' ! a", "gst://rtspsrc user-pw = *** ! a"),
        (r'gst://a auth="my \" secret" b=1', "gst://a auth=*** b=1"),
        (
            "gst://a location=rtsp://u:p@h/1 ! b. c location=rtsp://v:q@h/2?token=x",
            "gst://a location=rtsp://u:***@h/1 ! b. c location=rtsp://v:***@h/2?token=***",
        ),
        ("gst://x264enc key-int-max=30 name=monkey", "gst://x264enc key-int-max=30 name=monkey"),
    ],
)
def test_passwords_are_hidden(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_messages_are_shown_without_passwords() -> None:
    said = 'Not found (404), URL: http://h/a?token=secret, "rtsp://me:secret@h/x?pwd=secret" (-5)'
    assert without_passwords(said) == (
        'Not found (404), URL: http://h/a?token=*** "rtsp://me:***@h/x?pwd=***" (-5)'
    )


@pytest.mark.parametrize(
    "text", ["rtsp://me:secret@[::1/x", "http://[::1/x.mjpg", "v4l2://[/x", "udp://[::1:5000"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no address: got Invalid IPv6 URL") as refused:
        open_source(text, Reading(give_up_s=1))
    assert "secret" not in str(refused.value)


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
