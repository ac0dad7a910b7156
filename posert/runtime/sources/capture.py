"""For `posert.building.pictures` until it imports from ``addresses``."""

from posert.runtime.sources.addresses import is_address

__all__ = ["is_address"]
