"""Prints the requirements of pyproject.toml one a line, quoted for a shell word list.

scripts/setup.sh uses it where the system's own OpenCV must not be shadowed by one from pip.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path


def main() -> None:
    """Reads [project] dependencies and the dev and eval extras, leaving out what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=[])
    left_out = set(parser.parse_args().without)
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    project = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    wanted = re.findall(r'"([A-Za-z0-9_.-]+)((?:[<>=!~][^"]*)?)"', project)
    print(" ".join(name + version for name, version in wanted if name not in left_out))


if __name__ == "__main__":
    main()
