"""A Dockerfile's stages and steps, as far as ours goes: no here-documents, no ONBUILD, no SHELL."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One instruction."""

    name: str
    flags: dict[str, str]  # of --from=wheel
    text: str

    @property
    def words(self) -> list[str]:
        """Its arguments, of the JSON form or between blanks."""
        return json.loads(self.text) if self.text.startswith("[") else self.text.split()


@dataclass(frozen=True)
class Stage:
    name: str
    base: str  # another stage, or an image
    steps: list[Step] = field(default_factory=list)

    def last(self, name: str) -> Step:
        """The step that holds in the end."""
        return [step for step in self.steps if step.name == name][-1]


@dataclass(frozen=True)
class Dockerfile:
    arguments: dict[str, str]  # before the first FROM
    stages: dict[str, Stage]


def read_dockerfile(path: Path) -> Dockerfile:
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for step in map(_step, _instructions(path.read_text(encoding="utf-8"))):
        if step.name == "FROM":
            base, _, name = substituted(step.text, arguments).partition(" AS ")
            stages[name] = Stage(name, base)
        elif stages:
            list(stages.values())[-1].steps.append(step)
        else:
            name, _, value = step.text.partition("=")
            arguments[name] = value
    return Dockerfile(arguments, stages)


def _instructions(text: str) -> list[str]:
    """Whole instructions: comments gone, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).split("\n")


def _step(line: str) -> Step:
    name, _, rest = line.partition(" ")
    flags = {}
    while found := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    return Step(name, flags, rest)


def substituted(text: str, values: dict[str, str]) -> str:
    """``text`` with ``$NAME`` and ``${NAME}`` replaced, by nothing where there is no such name."""
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda m: values.get(m[1] or m[2], ""), text)


def assignments(text: str, values: dict[str, str]) -> dict[str, str]:
    """What ENV, ARG or LABEL sets: ``NAME=value NAME="value with blanks"``."""
    pairs = re.findall(r'([\w.]+)=("[^"]*"|\S*)', text)
    return {name: substituted(value.strip('"'), values) for name, value in pairs}
