"""Processes that share the sources of a run: one Python lock each, one GPU each."""
