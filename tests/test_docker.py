"""The image and compose files, as far as they can be judged without Docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from making.chroot import context_of
from making.dockerfile import Stage, assignments, read_dockerfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from posert.cli import app
from posert.settings import read_settings
from posert.version import __version__

PROJECT = Path(__file__).parents[1]
FILE = read_dockerfile(PROJECT / "Dockerfile")
TARGETS = ("cpu", "x86", "l4t")
NVIDIA = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "video,compute,utility"}
COMPOSE = sorted((PROJECT / "docker").glob("*.yaml"))
ALONE = ("file", "camera", "rtsp", "csi")


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Stage:
    return FILE.stages[request.param]


def environment(stage: Stage) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in stage.steps:
        if step.name == "ENV":
            found.update(assignments(step.text, {}))
    return found


def test_an_image_starts_the_program_and_asks_it_for_its_health(target: Stage) -> None:
    assert target.last("ENTRYPOINT").words == ["posert"]
    assert target.last("STOPSIGNAL").text == "SIGTERM"
    health = target.last("HEALTHCHECK")
    assert json.loads(health.text.removeprefix("CMD ")) == ["posert", "health"]
    assert "POSERT_STATUS" in environment(target)  # where the run tells and health reads


def test_an_image_is_run_by_a_user_of_a_number_that_is_not_root(target: Stage) -> None:
    assert target.last("USER").text == "${UID}"
    assert int(FILE.arguments["UID"]) >= 1000


def test_engines_and_models_are_volumes(target: Stage) -> None:
    variables = environment(target)
    volumes = [variables["POSERT_CACHE"], variables["POSERT_MODELS"]]
    assert target.last("VOLUME").words == volumes


def test_the_gpu_s_decoders_are_asked_for(target: Stage) -> None:
    asked = {k: v for k, v in environment(target).items() if k.startswith("NVIDIA_")}
    assert asked == ({} if target.name == "cpu" else NVIDIA)


def test_the_label_tells_this_version() -> None:
    assert FILE.arguments["VERSION"] == __version__


def test_every_list_of_packages_is_removed_in_its_layer() -> None:
    for stage in FILE.stages.values():
        for step in stage.steps:
            if "apt-get update" in step.text:
                assert step.text.endswith("rm -rf /var/lib/apt/lists/*"), stage.name


def test_base_images_are_of_one_version() -> None:
    images = [stage.base for stage in FILE.stages.values() if stage.base not in FILE.stages]
    assert all(re.search(r":[\w.-]*\d", image) for image in images), images


def test_nothing_but_the_package_goes_into_an_image(tmp_path: Path) -> None:
    context = context_of(PROJECT, tmp_path)
    files = {p.relative_to(context).as_posix() for p in context.rglob("*") if p.is_file()}
    assert {path.split("/")[0] for path in files} == {
        "LICENSE", "NOTICE", "README.md", "configs", "demo", "docker", "models", "posert",
        "pyproject.toml",
    }  # fmt: skip
    assert {p for p in files if p.startswith("demo/")} == {
        "demo/walkers.mp4", "demo/walkers.truth.json"
    }  # fmt: skip
    assert not [p for p in files if p.endswith((".engine", ".pyc"))]


@pytest.mark.parametrize(
    ("target", "extra", "without"),
    [
        ("cpu", [], []),
        ("x86", ["gpu"], ["opencv-python-headless"]),
        ("l4t", ["cuda"], ["opencv-python-headless"]),
    ],
)
def test_every_requirement_has_one_version_that_it_allows(
    target: str, extra: list[str], without: list[str]
) -> None:
    script, project = PROJECT / "docker/requirements.py", PROJECT / "pyproject.toml"
    listed = subprocess.run(
        [sys.executable, script, project, "--extra", *extra, "--without", *without],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    pins = (PROJECT / f"docker/constraints/{target}.txt").read_text().splitlines()
    versions = dict(pin.split("==") for pin in pins if "==" in pin)
    versions = {canonicalize_name(name): version for name, version in versions.items()}
    wanted = [Requirement(line) for line in listed]
    assert len(wanted) > 8
    for requirement in wanted:
        assert requirement.name not in without
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])
    if without:  # the system's OpenCV is built for NumPy 1
        assert versions["numpy"].startswith("1.")


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_settings_file_is_valid_and_its_example_too(path: Path) -> None:
    read_settings(path, {})
    example = re.search(r"^# posert (run .*?)(?: {3,}|$)", path.read_text(), re.MULTILINE)
    if example is not None:
        given = parsed(example[1].split())
        assert str(given["config"]) == f"configs/{path.name}"


def parsed(command: list[str]) -> dict[str, Any]:
    """A ``posert`` command's arguments as the program takes them; refused where it would."""
    name, *arguments = command
    commands: Any = typer.main.get_command(app)
    given: dict[str, Any] = commands.commands[name].make_context(name, arguments).params
    return given


@pytest.mark.parametrize("name", ALONE)
def test_a_compose_file_s_command_is_one_the_program_takes(name: str) -> None:
    service = yaml.safe_load((PROJECT / f"docker/{name}.yaml").read_text())["services"]["posert"]
    given = parsed(service["command"])
    assert (PROJECT / given["config"]).is_file()
    assert str(given["output"]).startswith("out/")
    assert len(given["inputs"]) == 1


@pytest.mark.parametrize("path", COMPOSE, ids=lambda p: p.stem)
def test_a_compose_file_names_a_target_of_the_dockerfile(path: Path) -> None:
    service = yaml.safe_load(path.read_text())["services"]["posert"]
    build = service.get("build")
    assert build is not None or service["extends"]["file"] == "base.yaml"
    if build is not None:
        assert service["image"] == f"posert:{build['target']}"
        assert build["target"] in TARGETS


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("more", ["", "gpu", "jetson"])
def test_compose_takes_the_files(name: str, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = str(Path(sys.executable).parent)
    compose = shutil.which("docker-compose", path=beside) or shutil.which("docker-compose")
    if compose is None:
        pytest.skip("no docker-compose")
    monkeypatch.setenv("POSERT_RTSP", "rtsp://user:word@camera/1")
    files = [x for f in (name, more) if f for x in ("-f", str(PROJECT / f"docker/{f}.yaml"))]
    done = subprocess.run(
        [compose, *files, "config", "--format", "json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    service = json.loads(done.stdout)["services"]["posert"]
    targets = {"": "l4t" if name == "csi" else "cpu", "gpu": "x86", "jetson": "l4t"}
    assert service["build"]["target"] == targets[more]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    mounts = {volume["target"]: volume for volume in service["volumes"]}
    assert mounts["/var/cache/posert"]["source"] == "engines"
    assert mounts["/work/out"]["type"] == "bind"
