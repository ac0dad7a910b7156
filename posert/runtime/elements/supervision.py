"""A hold on the pipeline that OpenCV makes: its errors in words, and a way to stop it.

OpenCV keeps its pipeline to itself, tells no reason when it fails, waits for ever on a source that
has gone silent, and lets go of a pipeline that did not start without ending it. GStreamer calls a
hook for each element made; the pipeline that is made in our thread meanwhile is ours.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, Structure, byref, c_int, c_uint, c_uint64, c_void_p
from typing import Any, Final

from posert.runtime.elements.library import GError, gobject, gstreamer, name_of, take_error

log = logging.getLogger(__name__)

_EOS, _ERROR = 1 << 0, 1 << 1  # GST_MESSAGE_EOS, GST_MESSAGE_ERROR
_STATE_CHANGES: Final = 1 << 6 | 1 << 21  # GST_MESSAGE_STATE_CHANGED, GST_MESSAGE_ASYNC_DONE
_DROP, _PASS = 0, 1  # GST_BUS_DROP, GST_BUS_PASS
_NULL_STATE: Final = 1  # GST_STATE_NULL
_NewElement: Final = CFUNCTYPE(None, c_void_p, c_uint64, c_void_p)
_OnMessage: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)


class _Message(Structure):
    """The beginning of GstMessage: GstMiniObject, then the type."""

    _fields_ = (
        ("g_type", ctypes.c_size_t), ("refcount", c_int), ("lockstate", c_int), ("flags", c_uint),
        ("copy", c_void_p), ("dispose", c_void_p), ("free", c_void_p), ("n_qdata", c_uint),
        ("qdata", c_void_p), ("type", c_int),
    )  # fmt: skip


class Supervision:
    """The pipeline made under ``supervised``; every method is safe in any thread."""

    def __init__(self) -> None:
        self.errors: list[str] = []  # what its elements complained of, in order
        self._pipeline: int | None = None
        self._lock = threading.Lock()
        self._handler = _OnMessage(self._on_message)

    def stop(self) -> None:
        """Ends the pipeline: whoever waits for it, to read, to write or to close, returns."""
        with self._lock:
            if self._pipeline is None:
                return
            gst = gstreamer()
            bus = gst.gst_element_get_bus(self._pipeline)
            gst.gst_bus_post(bus, gst.gst_message_new_eos(self._pipeline))
            gst.gst_object_unref(bus)
            gst.gst_element_set_state(self._pipeline, _NULL_STATE)

    def release(self) -> None:
        """Ends the pipeline and lets go of it; OpenCV has let go of it before."""
        with self._lock:
            if self._pipeline is None:
                return
            pipeline, self._pipeline = self._pipeline, None
            gst = gstreamer()
            gst.gst_element_set_state(pipeline, _NULL_STATE)
            self._handle_messages(pipeline, None)
            gst.gst_object_unref(pipeline)

    def adopt(self, pipeline: int) -> None:
        """Holds ``pipeline`` and listens to it."""
        if self._pipeline is not None:
            return
        self._pipeline = gstreamer().gst_object_ref(pipeline)
        self._handle_messages(pipeline, self._handler)

    def _handle_messages(self, pipeline: int, handler: Any) -> None:
        gst = gstreamer()
        bus = gst.gst_element_get_bus(pipeline)
        gst.gst_bus_set_sync_handler(bus, None, None, None)  # GStreamer before 1.16.3 needs this
        if handler is not None:
            gst.gst_bus_set_sync_handler(bus, ctypes.cast(handler, c_void_p), None, None)
        gst.gst_object_unref(bus)

    def _on_message(self, _bus: int, message: int, _data: int | None) -> int:
        """Called in GStreamer's threads; what OpenCV never fetches is dropped, or it piles up."""
        kind = ctypes.cast(message, ctypes.POINTER(_Message)).contents.type
        if kind == _ERROR:
            self.errors.append(_text_of(message))
        if kind & (_EOS | _ERROR | _STATE_CHANGES):
            return _PASS
        gstreamer().gst_mini_object_unref(message)
        return _DROP


_current = threading.local()


@contextmanager
def supervised() -> Iterator[Supervision]:
    """Holds the pipeline that OpenCV makes within, in this thread. Call ``release`` in the end."""
    supervision = Supervision()
    _listen()
    _current.supervision = supervision
    try:
        yield supervision
    finally:
        _current.supervision = None


_registering: Final = threading.Lock()
_registered: Final[list[Any]] = []  # what GStreamer calls for ever: never freed


def _listen() -> None:
    """Asks GStreamer, once in this process, to tell of each element made."""
    with _registering:
        if _registered:
            return
        gst, hook = gstreamer(), _NewElement(_on_new_element)
        if hasattr(gst, "gst_tracing_register_hook"):
            owner = gst.gst_bus_new()  # a hook belongs to some object
            gst.gst_tracing_register_hook(owner, b"element-new", ctypes.cast(hook, c_void_p))
        else:
            log.info("this GStreamer tells of no elements: streams gone silent are not noticed")
        _registered.append(hook)


def _on_new_element(_owner: int, _time: int, element: int) -> None:
    supervision = getattr(_current, "supervision", None)
    if supervision is None:
        return
    factory = gstreamer().gst_element_get_factory(element)
    if factory and name_of(factory) == "pipeline":
        supervision.adopt(element)


def _text_of(message: int) -> str:
    error, debug = ctypes.POINTER(GError)(), c_void_p()
    gstreamer().gst_message_parse_error(message, byref(error), byref(debug))
    details = ctypes.string_at(debug.value).decode(errors="replace") if debug.value else ""
    gobject().g_free(debug)
    last = details.strip().splitlines()[-1:]
    return " ".join([take_error(error) or "?", *last])
