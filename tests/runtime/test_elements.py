"""What is asked of GStreamer itself."""

from __future__ import annotations

import pytest

from posert.errors import ConfigError
from posert.runtime import elements
from posert.runtime.elements import library, missing, package_of
from posert.runtime.pipelines.decoding import all_decoders
from posert.runtime.pipelines.writing import ENCODERS


def test_without_the_library_there_are_no_elements_and_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing() -> None:
        raise ConfigError("GStreamer cannot be loaded (no such file)")

    monkeypatch.setattr(library, "gstreamer", nothing)
    assert elements.why_no_gstreamer() == "GStreamer cannot be loaded (no such file)"
    library.available.cache_clear()
    assert elements.available() == frozenset()
    library.available.cache_clear()


def test_every_element_that_is_used_has_a_package() -> None:
    assert [name for name in [*all_decoders(), *ENCODERS] if package_of(name) is None] == []


@pytest.mark.usefixtures("gst")
def test_elements_are_found_without_a_python_binding() -> None:
    assert {"appsink", "x264enc", "avdec_h264", "rtspsrc"} <= elements.available()
    assert missing(["appsink", "x264enc"]) is None
    assert missing(["appsink", "nvvidconv"]) == (
        "GStreamer lacks nvvidconv (JetPack: nvidia-l4t-gstreamer)"
    )


@pytest.mark.usefixtures("gst")
def test_the_parser_says_what_is_wrong() -> None:
    assert elements.why_not_parsed("videotestsrc ! fakesink") is None
    assert "no property" in (elements.why_not_parsed("videotestsrc foo=1 ! fakesink") or "")
