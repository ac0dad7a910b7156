"""GStreamer pipelines as text, by pure functions of what elements there are."""
