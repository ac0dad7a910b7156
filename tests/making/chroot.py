"""A target of the Dockerfile, built in a chroot: for machines where no Docker runs.

Needs root, debootstrap and Linux. Each step runs in mount and process namespaces of its own: what
it mounted or left running is gone when it ends, however it ends.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from making.dockerfile import Dockerfile, Stage, Step, assignments, substituted

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUNDLE = "/etc/ssl/host.crt"
_PATIENCE_S = 1200


@dataclass
class Image:
    """A stage as built so far: its files, and how commands are run in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"
    entry_point: list[str] = field(default_factory=list)

    def run(self, *command: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """``command`` in it, as its user; checks nothing."""
        number = user or self.user
        mounts = (
            'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && '
            'exec chroot --userspec="$1" "$0" /usr/bin/env -i "${@:2}"'
        )
        inside = 'cd "$0" && exec "$@"'
        variables = [f"{k}={v}" for k, v in {**_host(), **self.values}.items()]
        return subprocess.run(
            [
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                "bash", "-c", mounts, str(self.root), f"{number}:{number}", *variables,
                "sh", "-c", inside, self.folder, *command,
            ],
            capture_output=True, text=True, timeout=_PATIENCE_S,
        )  # fmt: skip

    def start(self, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """The entry point with ``arguments``: as ``docker run``."""
        return self.run(*self.entry_point, *arguments, user=user)

    @property
    def values(self) -> dict[str, str]:
        return {**self.arguments, **self.environment}


def debian(folder: Path, release: str) -> Path:
    """The files of Debian's ``release``, with this machine's way to the network."""
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", release]
    subprocess.run([*command, str(folder)], check=True, capture_output=True, timeout=_PATIENCE_S)
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    acquire = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True)
    (folder / "etc/apt/apt.conf.d/99host").write_text(acquire.stdout)
    bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    if Path(bundle).exists():
        shutil.copy(bundle, folder / _BUNDLE.lstrip("/"))
    return folder


def _host() -> dict[str, str]:
    """This machine's way to the package index, as variables."""
    found = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    ).stdout
    for name, value in re.findall(r"^\S+?\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        if name in ("index-url", "trusted-host", "proxy", "timeout"):
            found[f"PIP_{name.upper().replace('-', '_')}"] = value
    return {**found, "PIP_CERT": _BUNDLE, "SSL_CERT_FILE": _BUNDLE}


def build(file: Dockerfile, target: str, context: Path, base: Path, folder: Path) -> Image:
    """``target`` and the stages it needs, each a folder in ``folder``, from the files ``base``."""
    built: dict[str, Image] = {}

    def stage_of(name: str) -> Image:
        if name not in built:
            stage = file.stages[name]
            for step in stage.steps:
                if "from" in step.flags:
                    stage_of(step.flags["from"])
            built[name] = _Builder(file, stage, context, base, folder / name, built).build()
        return built[name]

    return stage_of(target)


@dataclass
class _Builder:
    file: Dockerfile
    stage: Stage
    context: Path
    base: Path
    root: Path
    built: dict[str, Image]

    def build(self) -> Image:
        subprocess.run(["cp", "-a", "--reflink=auto", self.base, self.root], check=True)
        self.image = Image(self.root)
        for step in self.stage.steps:
            getattr(self, f"_{step.name.lower()}")(step)
        return self.image

    def _run(self, step: Step) -> None:
        done = self.image.run("sh", "-c", step.text)
        assert done.returncode == 0, (
            f"{self.stage.name}: RUN {step.text}\n{done.stdout}{done.stderr}"
        )

    def _copy(self, step: Step) -> None:
        *sources, to = [substituted(word, self.image.values) for word in step.words]
        origin = self.context
        if "from" in step.flags:
            origin = self.built[step.flags["from"]].root
        target = self.root / self._inside(to)
        for source in sources:
            self._copy_one(origin / source.lstrip("/"), target, to.endswith(("/", ".")))

    def _copy_one(self, source: Path, target: Path, into: bool) -> None:
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{source}/.", target], check=True)
            return
        place = target / source.name if into else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)

    def _inside(self, path: str) -> str:
        return (Path(self.image.folder) / path).as_posix().lstrip("/")

    def _env(self, step: Step) -> None:
        self.image.environment.update(assignments(step.text, self.image.values))

    def _arg(self, step: Step) -> None:
        name, given, value = step.text.partition("=")
        default = value if given else self.file.arguments[name]
        self.image.arguments[name] = default

    def _workdir(self, step: Step) -> None:
        self.image.folder = f"/{self._inside(step.text)}"
        (self.root / self._inside(step.text)).mkdir(parents=True, exist_ok=True)

    def _user(self, step: Step) -> None:
        self.image.user = substituted(step.text, self.image.values)

    def _entrypoint(self, step: Step) -> None:
        self.image.entry_point = step.words

    def _said(self, step: Step) -> None:
        """Changes no file."""

    _label = _volume = _stopsignal = _healthcheck = _cmd = _said


def context_of(project: Path, folder: Path) -> Path:
    """The files of ``project`` that .dockerignore lets into a build, copied to ``folder``."""
    lines = (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    for top in {rule.lstrip("!").split("/")[0] for rule in rules if rule.startswith("!")}:
        for path in [project / top, *(project / top).rglob("*")]:
            relative = path.relative_to(project)
            if path.is_file() and _let_in(relative, rules):
                (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / relative)
    return folder


def _let_in(path: Path, rules: list[str]) -> bool:
    """Whether the last rule that fits ``path`` or a folder above it is an exception."""
    wanted = True
    names = [path.as_posix(), *(p.as_posix() for p in path.parents if p.name)]
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        anywhere = rule.removeprefix("!").startswith("**/")
        if any(_fits(name, pattern, anywhere) for name in names):
            wanted = rule.startswith("!")
    return wanted


def _fits(name: str, pattern: str, anywhere: bool) -> bool:
    if anywhere:
        return fnmatchcase(name.rpartition("/")[2], pattern)
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
