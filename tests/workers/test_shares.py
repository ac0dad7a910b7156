"""Which process has which sources, and which GPU."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from posert.errors import ConfigError
from posert.gpu import Device, only
from posert.settings import RunSettings
from posert.workers import shares
from posert.workers.shares import Share, deal, of_share, parsers_wanted, plan_shares

H200 = Device("NVIDIA H200", "9.0", 580)


def here(patch: pytest.MonkeyPatch, count: int) -> None:
    """A machine of 16 cores and so many GPUs."""
    patch.setattr(shares, "gpus", lambda: (H200,) * count)
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
    streams = [f"rtsp://host/{i}" for i in range(5)]
    assert [len(share) for share in deal(streams, 2)] == [3, 2]
    assert deal(["absent.mp4"], 1) == [(0,)]


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
    with pytest.raises(ConfigError, match=r"gpus is \(0, 1\): got .*--contact-sheet"):
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
