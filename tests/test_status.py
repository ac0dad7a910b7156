"""The status file of a run: always whole, never in the run's way, and judged rightly."""

from __future__ import annotations

import json
import logging
import math
import os
from pathlib import Path
from threading import Thread

import pytest

from posert.errors import InputError
from posert.status import SourceStatus, Status, StatusFile, judge, read_status

FRONT = SourceStatus("front", "live", 40, dropped=2, reconnects=1, stalls=1, age_s=0.05)
BACK = SourceStatus("back", "stalled", 7, reason="no picture for 5 s")
LOST = SourceStatus("roof", "failed", reason="no such host")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def at(state: str) -> SourceStatus:
    return SourceStatus(state, state)


def test_a_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "status.json"
    StatusFile(path, Clock()).update([FRONT, BACK])
    assert read_status(path) == Status(1000.0, (FRONT, BACK))
    data = json.loads(path.read_text())
    assert (data["frames"], data["pid"], data["exit_code"]) == (47, os.getpid(), None)
    assert data["time"].endswith("Z")


def test_an_age_that_is_not_a_number_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    StatusFile(path).update([SourceStatus("door", "live", age_s=math.nan)])
    assert read_status(path).sources == (SourceStatus("door", "live"),)


def test_it_is_written_once_a_second_at_most(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "s.json"
    file = StatusFile(path, clock)
    seen = []
    for _ in range(10):
        file.update([FRONT])
        seen.append(read_status(path).clock_s)
        clock.now_s += 0.25
    assert seen == [1000.0] * 4 + [1001.0] * 4 + [1002.0] * 2


def test_the_end_is_written_at_once_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    file = StatusFile(path, clock := Clock())
    file.update([FRONT])
    file.close(7)
    assert read_status(path) == Status(1000.0, (FRONT,), 7)
    clock.now_s += 5
    file.update([BACK])
    assert read_status(path).exit_code == 7
    file.close(0, [BACK])
    assert read_status(path) == Status(1005.0, (BACK,), 0)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "s.json"
    file = StatusFile(path, clock)
    file.update([FRONT])

    def write() -> None:
        for _ in range(300):
            clock.now_s += 1
            file.update([FRONT] * 20)

    threads = [Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert read_status(path).sources[0] == FRONT
    assert [p.name for p in tmp_path.iterdir()] == ["s.json"]


def test_a_place_that_cannot_be_written_is_told_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    clock = Clock()
    file = StatusFile(tmp_path / "file" / "s.json", clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            file.update([FRONT])
            clock.now_s += 1
        file.close(0)
    assert file.failures == 4
    (record,) = caplog.records
    assert "s.json: the status cannot be written" in record.getMessage()


def test_a_full_disk_keeps_the_last_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.json"
    clock = Clock()
    file = StatusFile(path, clock)
    file.update([FRONT])

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        clock.now_s += 1
        file.update([BACK])
    assert read_status(path).sources == (FRONT,)
    clock.now_s += 1
    file.update([BACK])
    assert read_status(path).sources == (BACK,)
    assert file.failures == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no status: got No such file"),
        (b"", "is no status"),
        (b'{"clock_s": 3', "is no status"),
        (b"\xff\xfe", "is no status"),
        (b"[]", "is no status of posert"),
        (b"{}", "is no status of posert"),
        (b'{"clock_s": "x", "sources": [], "exit_code": null}', "is no status of posert"),
        (b'{"clock_s": 1, "sources": [{"a": 1}], "exit_code": null}', "is no status of posert"),
    ],
)
def test_what_is_no_status_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "s.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_status(path)
    assert "posert run --status" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "healthy", "strictly", "line"),
    [
        (Status(1000, (FRONT,)), True, True, "1 live"),
        (Status(991, (FRONT,)), True, True, "1 live"),
        (Status(985, (FRONT,)), False, False, "the status is 15 s old: the run hangs or was"),
        (Status(5000, (FRONT,)), False, False, "of before this machine's start"),
        (Status(1000, ()), False, False, "starting: no source is open yet"),
        (Status(1000, (FRONT, BACK)), True, False, "1 live; back: stalled (no picture for 5 s)"),
        (Status(1000, (BACK,)), True, False, "back: stalled"),
        (Status(1000, (at("connecting"),)), True, False, "connecting: connecting"),
        (Status(1000, (FRONT, FRONT, LOST)), True, False, "2 live; roof: failed (no such host)"),
        (Status(1000, (LOST, LOST)), False, False, "roof: failed (no such host); roof: failed"),
        (Status(1000, (at("running"), at("waiting"))), True, True, "1 waiting, 1 running"),
        (Status(1000, (at("ended"), at("running"))), True, True, "1 running, 1 ended"),
        (Status(1000, (at("ended"), LOST)), True, False, "1 ended; roof: failed"),
        (Status(1000, (at("ended"),)), True, True, "1 ended"),
        (Status(1, (at("ended"),), 0), True, True, "ended with code 0"),
        (Status(1, (), 143), True, True, "ended with code 143"),
        (Status(1000, (LOST,), 3), False, False, "ended with code 3"),
    ],
)
def test_health(status: Status, healthy: bool, strictly: bool, line: str) -> None:
    verdict = judge(status, 1000.0)
    assert (verdict.healthy, line in verdict.line) == (healthy, True), verdict
    assert judge(status, 1000.0, strict=True).healthy is strictly
