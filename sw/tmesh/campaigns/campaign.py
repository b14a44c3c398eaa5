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
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.resources import files
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tmesh import checks
from tmesh.campaigns.store import Store
from tmesh.errors import InvalidInput, SimulationError
from tmesh.files import digest_sources

#: A measurement: a cell and a seed in, a JSON value out. Worker processes import it, so it is a
#: function of a module. Its result is kept, so it depends on cell and seed alone.
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

    Equal cells are one. A result in `store` of the same function, cell, seed and code is not
    measured again; without a store, results last as long as the campaign. Raises `InvalidInput`
    for a function that worker processes cannot import, and for cells of anything but JSON values.
    """

    def __init__(
        self,
        measure: Measure,
        cells: Iterable[Mapping[str, Any]],
        seeds: Iterable[int],
        store: Store | None = None,
    ) -> None:
        self._measure, self._store, self._code = measure, store, _code(measure)
        self._seeds = [checks.seed("seeds", one) for one in seeds]
        found = [Run(cell, seed, self._key(cell, seed)) for cell in cells for seed in self._seeds]
        self.runs = list({one.key: one for one in found}.values())
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
        """Measure the missing runs; `done` is called with each run once its result is kept.

        executor: by default `workers` processes, one for each core. They end with this call, also
        after Ctrl-C or if `done` or a run raises an exception; the exception of a run names its
        cell and seed. Raises `SimulationError` if a worker process ends.
        """
        cores = len(os.sched_getaffinity(0)) if workers is None else workers
        most = checks.integer("workers", cores, least=1)
        try:
            if executor is not None:
                self._spread(executor, AHEAD * most, done)
                return
            with _processes(min(most, max(1, len(self.missing)))) as pool:
                self._spread(pool, AHEAD * most, done)
        except BrokenProcessPool:
            raise SimulationError(
                "a worker process ended: it was killed, perhaps for its memory, or it cannot "
                "import the main module; finished runs are kept"
            ) from None

    def results(self, cell: Mapping[str, Any]) -> list[Any]:
        """The results of a cell in the order of the seeds, of those runs that have one."""
        keys = dict.fromkeys(self._key(cell, seed) for seed in self._seeds)
        return [self._results[key] for key in keys if key in self._results]

    def _spread(self, executor: Executor, most: int, done: Callable[[Run], object]) -> None:
        left = iter(self.missing)
        pending: dict[Future[Any], Run] = {}
        while True:
            for one in itertools.islice(left, most - len(pending)):
                with _no_interrupt():
                    future = executor.submit(self._measure, one.cell, one.seed)
                pending[future] = one
            if not pending:
                return
            ended, _ = concurrent.futures.wait(
                pending, return_when=concurrent.futures.FIRST_COMPLETED
            )
            kept, failed = list[Run](), list[Exception]()
            for future in ended:
                run = pending.pop(future)
                try:
                    self._keep(run, future)
                    kept.append(run)
                except Exception as error:  # the others that ended are kept first
                    error.add_note(f"in the run of cell {dict(run.cell)} with seed {run.seed}")
                    failed.append(error)
            if failed:
                raise failed[0]
            for run in kept:
                done(run)

    def _keep(self, run: Run, future: Future[Any]) -> None:
        result = json.loads(_json("result", future.result()))
        if self._store is not None:
            self._store.add(run.key, result, {"cell": dict(run.cell), "seed": run.seed})
        self._results[run.key] = result

    def _key(self, cell: Mapping[str, Any], seed: int) -> str:
        if not isinstance(cell, Mapping):
            raise InvalidInput(f"cells: {type(cell).__name__} is no mapping")
        name = [self._measure.__module__, self._measure.__qualname__]
        text = _json("cells", [*name, dict(cell), seed])
        return hashlib.sha256(self._code + text.encode()).hexdigest()[:32]


def _json(name: str, value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{name}: no JSON value: {error}") from None


def _code(measure: Measure) -> bytes:
    """A digest of T-MESH's sources and of the file that defines the function, in an interactive
    session of the function alone."""
    if not inspect.isfunction(measure) or "<" in measure.__qualname__:
        raise InvalidInput(f"measure: {measure!r} is no function of a module")
    code = inspect.unwrap(measure).__code__
    digest, file = hashlib.sha256(_sources()), Path(code.co_filename)
    digest.update(file.read_bytes() if file.is_file() else marshal.dumps(code))
    return digest.digest()


@functools.cache
def _sources() -> bytes:
    digest = hashlib.sha256()
    digest_sources(digest, Path(str(files("tmesh"))))
    return digest.digest()


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """A pool of processes that end with this context, however that ends."""
    context = multiprocessing.get_context("spawn")
    ends, here = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin, (ends,))
    try:
        yield pool
    except BaseException:  # a run may take minutes, and nothing will use its result
        here.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        here.close()
        ends.close()


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Processes that start here do not get Ctrl-C; this one gets it a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(ends: Connection) -> None:
    """In a worker: leave Ctrl-C to the parent. Its end of the pipe closes when it wants no more
    results, and when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def end() -> None:
        wait([ends])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
