"""Which process has which sources, and which GPU."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posert.errors import ConfigError
from posert.gpu import Device, only
from posert.runtime.engine import BACKENDS
from posert.settings import RunSettings
from posert.workers import shares
from posert.workers.shares import Share, deal, of_share, parsers_wanted, plan_shares

H200 = Device("NVIDIA H200", "9.0", 580)


def here(patch: pytest.MonkeyPatch, count: int, *backends: str) -> None:
    """A machine of 16 cores and so many GPUs, on which these backends work, or all."""
    patch.setattr(shares, "gpus", lambda: (H200,) * count)
    works = backends or BACKENDS
    patch.setattr(shares, "why_not", lambda each: None if each in works else "it is not here")
    patch.setattr(shares, "usable_cores", lambda: 16)


def plan(count: int, **settings: Any) -> list[Share]:
    return plan_shares([f"{i}.mp4" for i in range(count)], RunSettings(**settings))


def test_the_cpu_is_one_process_unless_more_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, 0)
    assert plan(8) == []
    assert plan(3, processes=2) == [Share((0, 2)), Share((1,))]
    assert plan(1, processes=4) == []  # no process without a source
    assert plan(8, processes=1) == []


def test_each_gpu_has_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, 2)
    assert plan(4) == [Share((0, 2), 0), Share((1, 3), 1)]
    assert plan(4, gpus=(1,)) == [Share((0, 1, 2, 3), 1)]
    assert plan(4, gpus=(0,)) == []
    assert plan(4, backend="onnxruntime") == []
    assert [share.gpu for share in plan(4, processes=4)] == [0, 1]  # the others parse
    assert plan(4, processes=1) == []


def test_gpus_that_no_backend_can_use_have_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here(monkeypatch, 8, "onnxruntime")
    assert plan(16) == []
    assert [share.gpu for share in plan(16, processes=2)] == [None, None]
    assert of_share(RunSettings(), ["a", "b"], Share((0,)), 2).workers == 8  # of 16 cores
    with pytest.raises(ConfigError, match=r"gpus: 0,1: got no backend that works here on a GPU"):
        plan(16, gpus=(0, 1))
    here(monkeypatch, 8, "onnxruntime", "onnxruntime-cuda")
    assert len(plan(16)) == 8


def test_an_engine_for_the_cpu_in_a_file_needs_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here(monkeypatch, 2)
    for backend, processes in (("onnxruntime", 0), ("tensorrt", 2)):
        made = SimpleNamespace(backend=backend)
        monkeypatch.setattr(shares, "manifest_beside", lambda path, made=made: made)
        assert len(plan(4, model="pose.engine")) == processes


def test_where_there_are_many_streams_others_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, 1)
    many = [f"{i}.mp4" for i in range(32)]
    assert parsers_wanted(many[:4], RunSettings()) == 0
    assert parsers_wanted(many[:8], RunSettings()) == 2
    assert parsers_wanted(many, RunSettings()) == 8  # half of the cores
    assert parsers_wanted([f"{i}.jpg" for i in range(32)], RunSettings()) == 0
    assert parsers_wanted(many, RunSettings(processes=1)) == 0
    assert parsers_wanted(many[:1], RunSettings(processes=3)) == 3
    of_one = of_share(RunSettings(), many, Share(tuple(range(16)), 1), 2)
    assert of_one.processes == 4  # of eight cores
    given = of_share(RunSettings(processes=6), many, Share(tuple(range(16)), 1), 2)
    assert given.processes == 3


def test_the_largest_files_are_dealt_first(tmp_path: Path) -> None:
    files = []
    for name, size in {"a": 10, "b": 90, "c": 50, "d": 60}.items():
        (tmp_path / name).write_bytes(b"0" * size)
        files.append(str(tmp_path / name))
    assert deal(files, 2) == [(0, 1), (2, 3)]
    assert deal(["absent.mp4"], 1) == [(0,)]


def test_live_sources_are_dealt_by_their_number_whatever_files_there_are(tmp_path: Path) -> None:
    streams = [f"rtsp://host/{i}" for i in range(10)]
    assert [len(share) for share in deal(streams[:5], 2)] == [3, 2]
    for name in ("large", "small"):
        (tmp_path / name).write_bytes(b"0" * (1000 if name == "large" else 10))
    files = [str(tmp_path / "large"), str(tmp_path / "small")]
    one, two = deal([*files, *streams], 2)
    assert {0, 1} & set(one) == {0}
    assert {0, 1} & set(two) == {1}
    assert len(one) == len(two) == 6
    assert deal([files[0], streams[0]], 2) == [(0,), (1,)]


def test_processes_share_cores_and_files_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, 0)
    monkeypatch.setattr(shares, "usable_cores", lambda: 8)
    settings = RunSettings(at_once=5)
    on_cpu = of_share(settings, ["a", "b"], Share((0,)), 2)
    assert (on_cpu.workers, on_cpu.at_once, on_cpu.processes) == (4, 3, 1)
    assert of_share(settings, ["a", "b"], Share((0,), 1), 2).workers is None
    assert of_share(RunSettings(workers=3), ["a", "b"], Share((0,)), 2).workers == 3


def test_one_file_of_all_sources_needs_one_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here(monkeypatch, 2)
    with pytest.raises(ConfigError, match=r"processes is 2: got .*--tile"):
        plan(4, tile=tmp_path / "wall.mp4", processes=2)
    with pytest.raises(ConfigError, match=r"gpus is 0,1: got .*--contact-sheet"):
        plan(4, contact_sheet=tmp_path / "s.png", gpus=(0, 1))
    assert plan(4, tile=tmp_path / "wall.mp4") == []
    assert "one GPU of 2 is used" in caplog.text
    caplog.clear()
    assert plan(4, contact_sheet=tmp_path / "s.png", gpus=(1,)) == [Share((0, 1, 2, 3), 1)]
    assert "is used" not in caplog.text


def test_a_gpu_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, 2)
    with pytest.raises(ConfigError, match=r"there is no GPU 2: got 2 here"):
        plan(4, gpus=(0, 2))


def test_a_worker_sees_its_gpu_among_those_that_are_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert only(1) == {"CUDA_VISIBLE_DEVICES": "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5a")
    assert only(0) == {"CUDA_VISIBLE_DEVICES": "3"}
    assert only(1) == {"CUDA_VISIBLE_DEVICES": "GPU-5a"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3, GPU-5a"


def test_several_gpus_of_one_process_are_no_warning_where_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here(monkeypatch, 2)
    with caplog.at_level(logging.INFO):
        assert plan(2, gpus=(0,)) == []
    assert not caplog.records
