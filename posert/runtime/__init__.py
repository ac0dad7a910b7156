"""Frames in, people out: sources, engines, the pipeline between them, sinks."""
