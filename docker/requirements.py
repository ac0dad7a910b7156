"""Prints what pyproject.toml requires, a line each, for layers that change less than the code.

python docker/requirements.py pyproject.toml --extra gpu --without opencv-python-headless
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10 of JetPack 6
    from pip._vendor import tomli as tomllib  # type: ignore[no-redef]


def main() -> None:
    """Reads the command line, prints the requirements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--extra", nargs="*", default=[])
    parser.add_argument("--without", nargs="*", default=[])
    given = parser.parse_args()
    project = tomllib.loads(given.project.read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"]
    for extra in given.extra:
        wanted += project["optional-dependencies"][extra]
    for requirement in wanted:
        if re.split(r"[^\w.-]", requirement)[0] not in given.without:
            print(requirement)


if __name__ == "__main__":
    main()
