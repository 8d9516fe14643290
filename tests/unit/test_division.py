"""Work that is divided over processes: the same results, whatever becomes of a worker."""

import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.processes import division
from components.processes.division import divide, end_zygote
from foundation.machine import free_memory, usable_cores
from foundation.sections import UserError

HERE = os.getpid()


@pytest.fixture(autouse=True)
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(division, "LIBRARIES", ("no_such_library",))
    yield
    end_zygote()


def meet(directory: Path, here: int) -> Callable[[int], tuple[int, bool]]:
    """Work that waits until this process and another have begun a part."""

    def work(part: int) -> tuple[int, bool]:
        logging.getLogger("components.parts").info("part %d by %d", part, os.getpid())
        (directory / str(os.getpid())).touch()
        wait(lambda: len([*directory.iterdir()]) > 1)
        return part * part, os.getpid() == here

    return work


def wait(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_results_are_in_the_order_of_the_parts_and_two_processes_made_and_logged_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "components")
    found = divide(functools.partial(meet, tmp_path, HERE), range(20), 2)
    assert [result for result, _ in found] == [part * part for part in range(20)]
    assert {here for _, here in found} == {True, False}
    logged = [record.getMessage().split() for record in caplog.records]
    assert sorted(int(part) for _, part, *_ in logged) == [*range(20)] and len({by for *_, by in logged}) == 2


def test_the_zygote_serves_the_next_step_too_and_no_worker_outlives_its_step(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        divide(functools.partial(meet, tmp_path / name, HERE), range(4), 2)
    (zygote,) = [process for process, _ in division._running]
    wait(lambda: not psutil.Process(zygote.pid).children())


def fail(directory: Path, here: int) -> Callable[[int], int]:
    work = meet(directory, here)

    def refuse(part: int) -> int:
        work(part)
        if os.getpid() != here:
            raise UserError("b.csv, line 2 has 2 cells where the header has 3.")
        return part

    return refuse


def test_a_workers_error_is_raised_here_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^b\.csv, line 2 has 2 cells where the header has 3\.$"):
        divide(functools.partial(fail, tmp_path, HERE), range(1000), 2)


def fall(directory: Path, here: int) -> Callable[[int], int]:
    work = meet(directory, here)

    def die(part: int) -> int:
        work(part)
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    return die


def test_trap_the_part_of_a_killed_worker_is_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert divide(functools.partial(fall, tmp_path, HERE), range(4), 3) == [0, 1, 2, 3]
    assert "a process was killed, perhaps for want of memory" in caplog.text


def answer_locally(directory: Path, here: int) -> Callable[[int], Any]:
    work = meet(directory, here)
    return lambda part: work(part)[1] or threading.Lock()


def test_what_cannot_be_sent_is_a_workers_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"cannot pickle '_thread\.lock' object"):
        divide(functools.partial(answer_locally, tmp_path, HERE), range(1000), 2)


def test_one_part_or_one_process_starts_none() -> None:
    assert divide(lambda: str, [7], 8) == ["7"] and divide(lambda: str, [7, 8], 1) == ["7", "8"]
    assert not division._running


def test_where_no_process_can_be_started_all_is_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(division.sys, "executable", "/nonexistent")
    assert divide(lambda: str, range(4), 2) == ["0", "1", "2", "3"]
    assert "no further process could be started" in caplog.text


SCRIPT = """
import functools, os, pathlib, sys
from components.processes import division
from tests.unit.test_division import meet
division.LIBRARIES = ()
print("runs", flush=True)
print(division.divide(functools.partial(meet, pathlib.Path(sys.argv[1]), os.getpid()), range(3), 2))
"""


def test_trap_a_script_that_does_not_ask_for_its_name_is_not_run_again_by_its_workers(tmp_path: Path) -> None:
    """Python's own fork server and `spawn` would import it in each."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "met").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "met")],
        env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout.count("runs") == 1 and "(4, " in ran.stdout


@pytest.mark.parametrize(
    "files, cores, memory",
    [
        ({"cpu.max": "250000 100000", "memory.max": "3000", "memory.current": "1000"}, 2, 2000),
        (
            {"memory.max": "3000", "memory.current": "2900", "memory.stat": "file 2500\ninactive_file 2000\nslab 1"},
            8,
            2100,
        ),
        ({"cpu.max": "max 100000", "memory.max": "max", "memory.current": "1000"}, 8, 10_000),
        ({"cpu.max": "50000 100000"}, 1, 10_000),
        (
            {
                "cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "500", "memory/memory.usage_in_bytes": "700",
            },
            4,
            0,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 10_000),
        ({}, 8, 10_000),
    ],
)  # fmt: skip
def test_a_containers_part_of_the_machine_is_what_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int, memory: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 10_000}))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert (usable_cores(tmp_path), free_memory(tmp_path)) == (cores, memory)
