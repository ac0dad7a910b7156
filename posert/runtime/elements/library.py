"""GStreamer's own library through ctypes: which elements exist. No Python binding is needed."""

from __future__ import annotations

import ctypes
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from functools import lru_cache
from typing import Any, Final

from posert.errors import ConfigError

_INSTALL: Final = "on Debian: apt-get install gstreamer1.0-plugins-base"
_FATAL_ERRORS: Final = 1  # GST_PARSE_FLAG_FATAL_ERRORS
_PRIMARY: Final = 256  # GST_RANK_PRIMARY: what stands above it is tried first


class GList(Structure):
    """GLib's linked list."""


GList._fields_ = [("data", c_void_p), ("next", POINTER(GList)), ("prev", POINTER(GList))]


class GError(Structure):
    """GLib's error."""

    _fields_ = (("domain", c_uint), ("code", c_int), ("message", c_char_p))


@lru_cache
def gstreamer() -> Any:
    """The library, initialised.

    Raises:
        ConfigError: it is not installed or does not start.
    """
    try:
        library: Any = CDLL("libgstreamer-1.0.so.0")
        start = library.gst_init_check
    except (OSError, AttributeError) as e:
        raise ConfigError(f"GStreamer cannot be loaded ({e})", fix=_INSTALL) from e
    _declare(library)
    if not start(None, None, byref(c_void_p())):
        raise ConfigError("GStreamer does not start", fix="gst-inspect-1.0 tells more")
    return library


@lru_cache
def gobject() -> Any:
    """GLib's object library, which GStreamer brings along."""
    library: Any = CDLL("libgobject-2.0.so.0")
    library.g_free.argtypes = [c_void_p]
    library.g_error_free.argtypes = [POINTER(GError)]
    return library


def why_no_gstreamer() -> str | None:
    """Why no element can be had here; None where they can."""
    try:
        gstreamer()
    except ConfigError as e:
        return str(e)
    return None


@lru_cache
def available() -> frozenset[str]:
    """The names of all elements that are installed; none without GStreamer."""
    if why_no_gstreamer() is not None:
        return frozenset()
    gst = gstreamer()
    features = gst.gst_registry_get_feature_list(
        gst.gst_registry_get(), gst.gst_element_factory_get_type()
    )
    names, node = set(), features
    while node:
        names.add(name_of(node.contents.data))
        node = node.contents.next
    gst.gst_plugin_feature_list_free(features)
    return frozenset(names)


def name_of(thing: int) -> str:
    """The name of a GstObject."""
    pointer = gstreamer().gst_object_get_name(thing)
    try:
        return ctypes.string_at(pointer).decode() if pointer else ""
    finally:
        gobject().g_free(pointer)


def why_not_parsed(pipeline: str) -> str | None:
    """What GStreamer's parser has against ``pipeline``, by its text; None: it can be made."""
    gst, error = gstreamer(), POINTER(GError)()
    made = gst.gst_parse_launch_full(pipeline.encode(), None, _FATAL_ERRORS, byref(error))
    if made:
        gst.gst_object_unref(made)
    return take_error(error)


def take_error(error: Any) -> str | None:
    """The words of a GError, which is freed; None where there is none."""
    if not error:
        return None
    try:
        return (error.contents.message or b"?").decode(errors="replace")
    finally:
        gobject().g_error_free(error)


def prefer(names: list[str]) -> None:
    """Makes ``decodebin`` try these decoders first, in this order, where they are installed."""
    gst = gstreamer()
    for place, name in enumerate(reversed([n for n in names if n in available()])):
        factory = gst.gst_element_factory_find(name.encode())
        gst.gst_plugin_feature_set_rank(factory, _PRIMARY + 100 + place)
        gst.gst_object_unref(factory)


def _declare(gst: Any) -> None:
    """Says what the functions take and return: ctypes assumes ``int`` otherwise."""
    pointer, text = c_void_p, c_char_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "gst_init_check": (c_int, [pointer, pointer, pointer]),
        "gst_registry_get": (pointer, []),
        "gst_registry_get_feature_list": (POINTER(GList), [pointer, c_size_t]),
        "gst_plugin_feature_list_free": (None, [POINTER(GList)]),
        "gst_plugin_feature_set_rank": (None, [pointer, c_uint]),
        "gst_element_factory_find": (pointer, [text]),
        "gst_element_factory_get_type": (c_size_t, []),
        "gst_element_get_factory": (pointer, [pointer]),
        "gst_element_get_bus": (pointer, [pointer]),
        "gst_element_set_state": (c_int, [pointer, c_int]),
        "gst_object_get_name": (pointer, [pointer]),
        "gst_object_ref": (pointer, [pointer]),
        "gst_object_unref": (None, [pointer]),
        "gst_bus_new": (pointer, []),
        "gst_bus_post": (c_int, [pointer, pointer]),
        "gst_bus_set_sync_handler": (None, [pointer, pointer, pointer, pointer]),
        "gst_message_new_eos": (pointer, [pointer]),
        "gst_message_parse_error": (None, [pointer, pointer, pointer]),
        "gst_mini_object_unref": (None, [pointer]),
        "gst_parse_launch_full": (pointer, [text, pointer, c_int, pointer]),
        "gst_tracing_register_hook": (None, [pointer, text, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(gst, name, None)  # an old or trimmed library lacks some
        if function is not None:
            function.restype, function.argtypes = result, arguments
