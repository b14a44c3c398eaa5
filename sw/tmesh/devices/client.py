"""The engine from the host's side: packets out, packets in, over any link."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tmesh import packets, schedule
from tmesh.config import CoreConfig
from tmesh.numbers import IntArray
from tmesh.packets import Command, Counter, Status

Words = npt.NDArray[np.uint32]
Replies = np.ndarray[tuple[int], np.dtype[np.void]]

#: Events of one GOSSIP packet: what one scheduling takes in memory.
EVENTS = 1 << 16

#: Bytes of a word's 32-bit parts.
_PART = 4


class EngineError(RuntimeError):
    """The engine refused a command, or is not the one that was expected."""


class EngineClient:
    """Commands of `tmesh.packets`, encoded and decoded for whole batches.

    exchange: takes words (n, link/32), which of them end a packet (n,), and the number of words
    to wait for; returns these. distance: bundles from an event to one that may read what it wrote
    without being held; for speed alone.
    """

    def __init__(
        self,
        config: CoreConfig,
        distance: int,
        exchange: Callable[[Words, npt.NDArray[np.bool_], int], Words],
    ) -> None:
        self.config, self._distance, self._exchange = config, distance, exchange
        self._parts = config.link // 32

    def identify(self, digest: int) -> None:
        """Raises `EngineError` unless the engine is a build of this configuration and digest."""
        bodies = self._send(Command.IDENTIFY, np.arange(3), None)["body"]
        c = self.config
        wanted = (
            packets.VERSION,
            c.f,
            c.gossip_lanes,
            c.link,
            c.gossip_lanes * c.rows,
            c.operators,
        )
        found = tuple(bodies.reshape(-1)[:6].tolist())
        if found != wanted:
            raise EngineError(f"the engine is {found}, not {wanted} (version, f, lanes, …)")
        built = int.from_bytes(bodies[2].tobytes(), "little")
        if built != digest:
            raise EngineError(f"the engine is build {built:032x}, not {digest:032x}")

    def write_states(self, r: IntArray) -> None:
        """Bloch vectors (n, 3) of the agents 0 to n − 1."""
        body = np.zeros((len(r), 4), dtype=np.int32)
        body[:, :3] = r
        self._send(Command.WRITE_STATE, self._addresses(len(r)), body)

    def read_states(self, n: int) -> IntArray:
        """Bloch vectors (n, 3) of the agents 0 to n − 1."""
        replies = self._send(Command.READ_STATE, self._addresses(n), None)
        return replies["body"][:, :3].astype(np.int64)

    def write_operator(self, number: int, c: IntArray) -> None:
        """An operator by its forms (2, 3, 4, 4)."""
        rows = c.reshape(packets.OPERATOR_ROWS, packets.ROW_LENGTH).astype(np.int32)
        arguments = (number << packets.OPERATOR_SHIFT) + np.arange(len(rows))
        self._send(Command.WRITE_OPERATOR, arguments, rows)

    def gossip(self, number: int, pairs: IntArray, both: bool) -> None:
        """Events of `pairs` (m, 2) under an operator, with the result of one after another."""
        for first in range(0, len(pairs), EVENTS):
            body = self._bundles(pairs[first : first + EVENTS], both)
            self._send(Command.GOSSIP, np.array([number]), body.reshape(1, -1))

    def counter(self, counter: Counter) -> int:
        """A counter of the engine."""
        (reply,) = self._send(Command.COUNTER, np.array([counter]), None)
        return int.from_bytes(reply["body"][:2].tobytes(), "little")

    def reset(self) -> None:
        """Counters to zero."""
        self._send(Command.RESET, np.zeros(1, dtype=np.int64), None)

    def _addresses(self, n: int) -> IntArray:
        row, bank = np.divmod(np.arange(n), self.config.gossip_lanes)
        return row | (bank << packets.ROW_BITS)

    def _bundles(self, pairs: IntArray, both: bool) -> npt.NDArray[np.uint32]:
        """The bundles of events (m, 2), (bundles, 32-bit parts)."""
        lanes = self.config.gossip_lanes
        where = schedule.bundles(pairs, both, self.config.agents, lanes, self._distance)
        slots = np.zeros((where.max(initial=-1) + 1, lanes), dtype=np.uint64)
        (row_a, row_b), (bank_a, bank_b) = (x.T for x in np.divmod(pairs, lanes))
        same = both & (bank_a == bank_b)
        slots[where, bank_a] = _slot(row_a, row_b, bank_b, False, same)
        if both:
            apart = ~same
            slots[where[apart], bank_b[apart]] = _slot(row_b, row_a, bank_a, True, False)[apart]
        bits = max(packets.bundle_bits(lanes), self.config.link)
        wide = np.zeros((len(slots), bits // 64), dtype=np.uint64)
        for lane in range(lanes):
            low, shift = divmod(packets.SLOT_STRIDE * lane, 64)
            wide[:, low] |= slots[:, lane] << np.uint64(shift)
            if shift + packets.SLOT_STRIDE > 64:
                wide[:, low + 1] |= slots[:, lane] >> np.uint64(64 - shift)
        return wide.view(np.uint32)

    def _send(
        self, command: Command, arguments: IntArray, body: npt.NDArray[np.generic] | None
    ) -> Replies:
        """One packet for each argument, with its row of `body`; their replies, all of them OK."""
        n = len(arguments)
        header = np.zeros(n, dtype=packets.HEADER)
        header["command"], header["version"] = command, packets.VERSION
        header["tag"], header["argument"] = np.arange(n) & 0xFFFF, arguments
        start = max(packets.HEADER.itemsize // _PART, self._parts)
        length = 0 if body is None else body.shape[1]
        each = -(-(start + length) // self._parts) * self._parts
        packet = np.zeros((n, each), dtype=np.uint32)
        packet[:, :2] = header.view(np.uint32).reshape(n, 2)
        if body is not None:
            packet[:, start : start + length] = body.view(np.uint32)
        words = packet.reshape(-1, self._parts)
        last = np.zeros(len(words), dtype=np.bool_)
        last[each // self._parts - 1 :: each // self._parts] = True
        size = packets.REPLY.itemsize // _PART
        answer = -(-size // self._parts)
        received = self._exchange(words, last, n * answer).reshape(n, -1)
        replies = np.ascontiguousarray(received[:, :size]).view(packets.REPLY)[:, 0]
        if not np.array_equal(replies["tag"], header["tag"]):
            raise EngineError(f"{command.name}: the replies are not those of the packets")
        bad = np.nonzero(replies["status"])[0]
        if len(bad):
            status = Status(int(replies["status"][bad[0]])).name
            raise EngineError(f"{command.name} {int(arguments[bad[0]])}: {status}")
        return replies


def _slot(
    own: IntArray, other: IntArray, bank: IntArray, second: object, double: object
) -> npt.NDArray[np.uint64]:
    """Slots as integers, see `packets.SLOT`."""
    values = {"own": own, "other": other, "bank": bank, "second": second, "double": double}
    result, shift = np.zeros(len(own), dtype=np.uint64), 0
    for name, width in packets.SLOT.items():
        value = np.asarray(values.get(name, 1)).astype(np.uint64)
        result |= value << np.uint64(shift)
        shift += width
    return result
