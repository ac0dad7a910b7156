"""What is asked of GStreamer itself."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from posert.errors import ConfigError
from posert.runtime import elements
from posert.runtime.elements import library, missing, package_of, supervised, supervision
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


class Tracing:
    """A GStreamer that counts who asks to be told, slowly enough for others to ask meanwhile."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def gst_bus_new(self) -> int:
        time.sleep(0.05)
        return 1

    def gst_tracing_register_hook(self, _owner: int, _event: bytes, hook: Any) -> None:
        self.hooks.append(hook.value)


def test_sources_that_open_at_once_ask_to_be_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tracing, barrier = Tracing(), threading.Barrier(4)
    monkeypatch.setattr(supervision, "gstreamer", lambda: tracing)
    monkeypatch.setattr(supervision, "_registered", [])

    def open_one() -> None:
        barrier.wait()
        with supervised():
            pass

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tracing.hooks) == 1
