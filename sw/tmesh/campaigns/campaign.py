"""Cells × seeds on an executor."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
import marshal
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.resources import files
from pathlib import Path
from typing import Any

from tmesh import checks
from tmesh.campaigns.store import Store
from tmesh.errors import InvalidInput, SimulationError
from tmesh.files import digest_sources

#: A measurement: a cell and a seed in, a JSON value out. A function of a module, so that worker
#: processes can import it, and deterministic, so that its result can be kept.
Measure = Callable[[Mapping[str, Any], int], Any]

#: Runs handed to an executor ahead of time, for each of its workers.
AHEAD = 2


@dataclasses.dataclass(frozen=True)
class Run:
    """One run. `key` is a digest of function, cell, seed and code."""

    cell: Mapping[str, Any]
    seed: int
    key: str


class Campaign:
    """Runs of `measure`: each of `cells`, mappings of JSON values, with each of `seeds`.

    A result in `store` of the same function, cell, seed and code is not measured again. Without a
    store, results last as long as the campaign.
    """

    def __init__(
        self,
        measure: Measure,
        cells: Sequence[Mapping[str, Any]],
        seeds: Sequence[int],
        store: Store | None = None,
    ) -> None:
        self.cells = list(cells)
        self._measure, self._store = measure, store
        seeds = [checks.seed("seeds", one) for one in seeds]
        code = _code(measure)
        self.runs = [
            Run(cell, seed, _key(code, measure, cell, seed))
            for cell, seed in itertools.product(cells, seeds)
        ]
        self._results: dict[str, Any] = {}
        if store is not None:
            self._results = {one.key: store[one.key] for one in self.runs if one.key in store}

    @property
    def missing(self) -> list[Run]:
        """The runs without a result."""
        return [one for one in self.runs if one.key not in self._results]

    def measure(
        self,
        done: Callable[[Run], object] = lambda run: None,
        executor: Executor | None = None,
        workers: int | None = None,
    ) -> None:
        """Measure what is missing; `done` is called with each run once its result is kept.

        executor: by default `workers` processes, one for each core. They end with this call, also
        after Ctrl-C or if `done` or a run raises an exception. Raises `SimulationError` if a worker
        process is killed.
        """
        if executor is not None:
            self._spread(executor, AHEAD * (workers or os.cpu_count() or 1), done)
            return
        workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(self.missing)))
        with _processes(workers) as pool:
            try:
                self._spread(pool, AHEAD * workers, done)
            except BrokenProcessPool:
                raise SimulationError(
                    "a worker process was killed, perhaps for its memory; finished runs are kept"
                ) from None

    def result(self, run: Run) -> Any:
        """The result of a run."""
        return self._results[run.key]

    def results(self, cell: Mapping[str, Any]) -> list[Any]:
        """The results of a cell in the order of the seeds, of those runs that have one."""
        keys = (one.key for one in self.runs if one.cell == cell)
        return [self._results[key] for key in keys if key in self._results]

    def _spread(self, executor: Executor, most: int, done: Callable[[Run], object]) -> None:
        left = iter(self.missing)
        pending: dict[Future[Any], Run] = {}
        while True:
            for one in itertools.islice(left, most - len(pending)):
                pending[executor.submit(self._measure, one.cell, one.seed)] = one
            if not pending:
                return
            ended, _ = concurrent.futures.wait(
                pending, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in ended:
                run = pending.pop(future)
                self._keep(run, future)
                done(run)

    def _keep(self, run: Run, future: Future[Any]) -> None:
        try:
            result = json.loads(json.dumps(future.result(), allow_nan=False))
        except Exception as error:
            error.add_note(f"in the run of cell {dict(run.cell)} with seed {run.seed}")
            raise
        if self._store is not None:
            self._store.add(run.key, result, {"cell": dict(run.cell), "seed": run.seed})
        self._results[run.key] = result


def _key(code: bytes, measure: Measure, cell: Mapping[str, Any], seed: int) -> str:
    what = [measure.__module__, measure.__qualname__, dict(cell), seed]
    text = json.dumps(what, sort_keys=True, allow_nan=False)
    return hashlib.sha256(code + text.encode()).hexdigest()[:32]


def _code(measure: Measure) -> bytes:
    """A digest of T-MESH's sources and of the file that defines the function, in an interactive
    session of the function alone."""
    if not inspect.isfunction(measure):
        raise InvalidInput(f"measure: {type(measure).__name__} is no function of a module")
    digest, file = hashlib.sha256(_sources()), Path(measure.__code__.co_filename)
    digest.update(file.read_bytes() if file.is_file() else marshal.dumps(measure.__code__))
    return digest.digest()


@functools.cache
def _sources() -> bytes:
    digest = hashlib.sha256()
    digest_sources(digest, Path(str(files("tmesh"))))
    return digest.digest()


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """A pool of processes that end with this context, however that ends."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    try:
        yield pool
    except BaseException:  # a run may take minutes, and nobody will ask for its result
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a worker: leave Ctrl-C to the parent, and end with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
