"""``python -m posert``."""

from posert.cli import main

main()
