"""Which CORDIC unit does which operation of a Jacobi step, and when.

A step is the same 11 operations (n = 4) for every matrix, so it is scheduled once, while the
hardware is generated. Matrices follow each other around a ring, one every `interval` cycles. Each
operation has a fixed unit and a fixed cycle after the start of its step. Nothing is arbitrated at
run time, and the units are idle only where ``units * interval`` exceeds the operations.
"""

import dataclasses
import itertools
from functools import cached_property


@dataclasses.dataclass(frozen=True)
class Operation:
    """One CORDIC operation. kind: ``phase`` (of a pivot), ``angle`` (of its plane rotation),
    ``turn`` (an entry by phases), ``even``, ``odd`` (halves of a two-sided rotation), and
    ``vector_turn``, ``vector_plane`` for eigenvectors; `index` says of which entries."""

    kind: str
    index: tuple[int, ...]
    needs: tuple["Operation", ...] = ()


def operations(n: int, vectors: bool) -> list[Operation]:
    """The operations of a step, those of eigenvectors last; a need stands before its user."""
    pairs = range(n // 2)
    phases = [Operation("phase", (k,)) for k in pairs]
    angles = [Operation("angle", (k,), (phases[k],)) for k in pairs]
    turns, planes = [], []
    for j, k in itertools.combinations(pairs, 2):
        p, q = 2 * j, 2 * k
        block = [
            Operation("turn", (p, q + 1), (phases[k],)),
            Operation("turn", (p + 1, q), (phases[j],)),
            Operation("turn", (p + 1, q + 1), (phases[j], phases[k])),
        ]
        turns += block
        planes += [
            Operation(kind, (j, k, part), (*block, angles[j], angles[k]))
            for part in (0, 1)
            for kind in ("even", "odd")
        ]
    result = [*phases, *angles, *turns, *planes]
    if vectors:
        for i, k in itertools.product(range(n), pairs):
            turn = Operation("vector_turn", (i, k), (phases[k],))
            result.append(turn)
            result += [
                Operation("vector_plane", (i, k, part), (turn, angles[k])) for part in (0, 1)
            ]
    return result


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Operations of a step on `units` CORDIC units of `latency` cycles, each of which takes an
    operation every `occupancy` cycles (1 if pipelined, `latency` if iterative)."""

    n: int
    vectors: bool
    units: int
    latency: int
    occupancy: int

    @property
    def interval(self) -> int:
        """Cycles between matrices; with iterative units one more, in which the step ends."""
        rounds = -(-len(operations(self.n, self.vectors)) // self.units)
        return rounds * self.occupancy + (self.occupancy > 1)

    @cached_property
    def places(self) -> dict[Operation, tuple[int, int]]:
        """Unit and cycle of each operation. Operations after the phases may have to wait for slots
        that leave room for the last operations. Of all such delays it takes the first that ends
        soonest."""
        delays = range(self.interval if self.occupancy == 1 else 1)
        return min(map(self._placed, delays), key=lambda p: max(t for _, t in p.values()))

    def _placed(self, delay: int) -> dict[Operation, tuple[int, int]]:
        """Each operation in the first free cycle; operations that need only phases, `delay`
        later."""
        taken: set[tuple[int, int]] = set()
        result: dict[Operation, tuple[int, int]] = {}
        for operation in operations(self.n, self.vectors):
            earliest = max((result[o][1] + self.latency for o in operation.needs), default=0)
            if operation.needs and all(o.kind == "phase" for o in operation.needs):
                earliest += delay
            for time in itertools.count(earliest):
                slots = [(time + n) % self.interval for n in range(self.occupancy)]
                free = [
                    unit
                    for unit in range(self.units)
                    if not any((unit, slot) in taken for slot in slots)
                ]
                if free:
                    taken |= {(free[0], slot) for slot in slots}
                    result[operation] = free[0], time
                    break
        return result

    def finished(self, *kinds: str) -> int:
        """The cycle in which the last operation of `kinds` (default: of all) has its result."""
        times = [t for o, (_, t) in self.places.items() if not kinds or o.kind in kinds]
        return max(times) + self.latency

    @property
    def step(self) -> int:
        """Cycles of a step: a multiple of the interval, so that matrices meet in no later one."""
        return -(-(self.finished() + 1) // self.interval) * self.interval

    @property
    def utilisation(self) -> float:
        """Share of the issue slots that are used when the ring is full."""
        busy = len(operations(self.n, self.vectors)) * self.occupancy
        return busy / (self.units * self.interval)
