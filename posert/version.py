"""The version, alone, so that every layer may ask for it."""

__version__ = "0.4.0"
