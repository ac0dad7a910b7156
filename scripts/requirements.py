"""Prints what the installed posert requires, with its eval and dev extras, but for what is named.

scripts/setup.sh uses it where the system's own OpenCV must not be shadowed by one from pip.
"""

from __future__ import annotations

import argparse
import re
from importlib.metadata import requires


def main() -> None:
    """Prints the requirements as words of one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=[])
    left_out = set(parser.parse_args().without)
    for requirement in requires("posert") or []:
        what, _, marker = requirement.partition(";")
        name = re.split(r"[<>=!~\[ ]", what)[0]
        if name not in left_out and (not marker or re.search(r"['\"](eval|dev)['\"]", marker)):
            print(what.replace(" ", ""), end=" ")


if __name__ == "__main__":
    main()
