"""Campaigns keep each result, measure none twice, and end with all their processes."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tmesh.campaigns import Campaign, Store
from tmesh.errors import FileError, InvalidInput

PROGRAM = Path(__file__).with_name("program.py")
ALL = "[[0, 2, 4, 6, 8, 10], [0, 3, 6, 9, 12, 15]]\n"


def start(folder: Path, seconds: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(PROGRAM), str(folder / "store"), str(folder / "marks")]
    return subprocess.Popen(
        [*command, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def begun(folder: Path) -> Counter[str]:
    """What workers began, by name: each run, and each import of the program."""
    marks = folder / "marks"
    return Counter(marks.read_text().splitlines() if marks.exists() else ())


def runs_begun(folder: Path) -> int:
    return sum(count for name, count in begun(folder).items() if name != "import")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kept(folder: Path) -> int:
    return (folder / "store").read_bytes().count(b"\n")


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_campaign_leaves_no_process_and_repeats_no_finished_run(
    number: signal.Signals, tmp_path: Path
) -> None:
    stopped = start(tmp_path, 60)
    assert stopped.stdout is not None
    for _ in range(3):
        stopped.stdout.readline()
    until(lambda: runs_begun(tmp_path) == 5)  # two workers, each in a run of a minute
    if number == signal.SIGINT:  # a terminal sends it to all processes
        os.killpg(stopped.pid, number)
    else:
        stopped.send_signal(number)
    _, said = stopped.communicate(timeout=60)
    assert "SpawnProcess" not in said
    until(lambda: group_is_empty(stopped.pid))
    assert kept(tmp_path) == 3
    (tmp_path / "marks").unlink()
    output, _ = start(tmp_path, 0).communicate(timeout=60)
    assert output.endswith(ALL)
    assert runs_begun(tmp_path) == 12 - 3


def test_no_worker_complains_of_ctrl_c_while_it_imports(tmp_path: Path) -> None:
    begins = start(tmp_path, 0)
    until(lambda: begun(tmp_path)["import"] > 0)
    os.killpg(begins.pid, signal.SIGINT)
    _, said = begins.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert "SpawnProcess" not in said
    assert "spawn_main" not in said
    until(lambda: group_is_empty(begins.pid))


def double(cell: Mapping[str, Any], seed: int) -> list[int]:
    CALLS.append(seed)
    return [2 * seed, cell["shift"]]


CALLS: list[int] = []


def campaign(store: Store | None, *shifts: int) -> Campaign:
    CALLS.clear()
    return Campaign(double, [{"shift": shift} for shift in shifts], [3, 5], store)


def measure(one: Campaign) -> None:
    with ThreadPoolExecutor(2) as pool:
        one.measure(executor=pool)


def test_a_campaign_measures_only_what_its_store_lacks(tmp_path: Path) -> None:
    with Store(tmp_path / "new folder" / "store") as store:
        measure(campaign(store, 1))
        assert sorted(CALLS) == [3, 5]
    with Store(tmp_path / "new folder" / "store") as store:
        more = campaign(store, 1, 2)
        assert len(more.missing) == 2
        measure(more)
        assert sorted(CALLS) == [3, 5]
        assert more.results({"shift": 1}) == [[6, 1], [10, 1]]
        assert more.results({"shift": 2}) == [[6, 2], [10, 2]]


def test_other_code_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "store") as store:
        measure(campaign(store, 1))
        monkeypatch.setattr("tmesh.campaigns.campaign._sources", lambda: b"other")
        assert len(campaign(store, 1).missing) == 2


def test_an_incomplete_line_is_removed_and_a_foreign_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Store(path) as store:
        measure(campaign(store, 1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with Store(path) as store:  # only the end of the line was missing
        assert not campaign(store, 1).missing
    assert path.read_bytes() == whole
    for cut in (2, 20, len(whole.splitlines()[1])):
        path.write_bytes(whole[:-cut])
        with Store(path) as store:
            one = campaign(store, 1)
            assert len(one.missing) == 1
            measure(one)
        assert path.read_bytes().count(b"\n") == 2
    for foreign in (
        b"1,2\n" + whole,
        b"agents = 4",
        b'{"key": 3}\n',
        b'{"key": "my configuration"}',
        b'{"tmesh run": "a",\r\n "result": 1}\n' + whole,
        b'{"tmesh run": ["a"], "result": 1}\n',
    ):
        path.write_bytes(foreign)
        with pytest.raises(InvalidInput, match="store: line 1 is no result"):
            Store(path)
        assert path.read_bytes() == foreign


def test_one_process_at_a_time_adds_results(tmp_path: Path) -> None:
    with Store(tmp_path / "store"), pytest.raises(FileError, match="another process"):
        Store(tmp_path / "store")


def odd(cell: Mapping[str, Any], seed: int) -> complex:
    return 1j


def fail(cell: Mapping[str, Any], seed: int) -> int:
    if seed == 5:
        raise ZeroDivisionError
    return seed


def test_a_run_that_fails_is_named_and_the_others_are_kept() -> None:
    failing = Campaign(fail, [{"a": 1}], [3, 5])
    with pytest.raises(ZeroDivisionError) as caught, ThreadPoolExecutor(1) as pool:
        failing.measure(executor=pool)
    assert caught.value.__notes__ == ["in the run of cell {'a': 1} with seed 5"]
    assert failing.results({"a": 1}) == [3]


def test_runs_that_ended_with_one_that_failed_are_kept() -> None:
    """The executor ends four at once, one of which failed."""

    class Together(Executor):
        def submit(self, call: Any, *arguments: Any, **named: Any) -> "Future[Any]":
            future: Future[Any] = Future()
            try:
                future.set_result(call(*arguments, **named))
            except Exception as error:
                future.set_exception(error)
            return future

    failing = Campaign(fail, [{"a": 1}], [5, 1, 2, 3])
    with pytest.raises(ZeroDivisionError):
        failing.measure(executor=Together(), workers=2)
    assert failing.results({"a": 1}) == [1, 2, 3]


def test_equal_cells_are_one_and_true_is_not_1() -> None:
    twice = campaign(None, 1, 1)
    measure(twice)
    assert sorted(CALLS) == [3, 5]
    assert twice.results({"shift": 1}) == [[6, 1], [10, 1]]
    assert twice.results({"shift": True}) == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Campaign(lambda cell, seed: 1, [{}], [1]), "is no function of a module"),
        (lambda: Campaign(print, [{}], [1]), "is no function of a module"),
        (lambda: Campaign(double, [{"a": np.int64(1)}], [1]), "cells: no JSON value"),
        (lambda: Campaign(double, [{"a": float("nan")}], [1]), "cells: no JSON value"),
        (lambda: Campaign(double, [3], [1]), "cells: int is no mapping"),  # type: ignore[list-item]
        (lambda: Campaign(double, [{}], [-1]), "seeds"),
        (lambda: Campaign(double, [{}], [1]).measure(workers=0), "workers"),
        (lambda: measure(Campaign(odd, [{}], [1])), "result: no JSON value"),
    ],
)
def test_mistakes_are_named(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        make()


def test_a_closed_store_takes_no_result(tmp_path: Path) -> None:
    with Store(str(tmp_path / "store")) as store:
        pass
    with pytest.raises(FileError, match="the store is closed"):
        store.add("a", 1)


def test_a_killed_worker_ends_the_campaign_in_one_line(tmp_path: Path) -> None:
    text = (
        PROGRAM.read_text()
        .replace("time.sleep(int", "os._exit(int")
        .replace("import sys", "import os\nimport sys")
    )
    program = tmp_path / "program.py"
    program.write_text(text)
    command = [sys.executable, str(program), str(tmp_path / "store"), str(tmp_path / "marks"), "9"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "SimulationError: a worker process ended" in done.stderr
    assert kept(tmp_path) >= 2  # each worker had sent a result


def test_a_full_disk_ends_a_campaign_and_loses_no_other_result(tmp_path: Path) -> None:
    """A limit of the file's size stands for the disk, after each byte of a line."""
    path = tmp_path / "store"
    with Store(path) as store:
        store.add("first", 1)
        size = path.stat().st_size
        store.add("second", 2)
        whole = path.stat().st_size
    full = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(size, whole - 1):
        path.write_bytes(full[:size])
        with Store(path) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
            try:
                with pytest.raises(FileError, match="store: File too large"):
                    store.add("second", 2)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        with Store(path) as store:
            assert "second" not in store
            store.add("second", 2)
        assert path.read_bytes() == full
