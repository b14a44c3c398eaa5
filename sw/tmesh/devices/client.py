"""The engine from the host's side: packets out, packets in, over any link."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tmesh import packets, schedule
from tmesh.config import CoreConfig
from tmesh.errors import EngineError
from tmesh.golden import fixed, rounds
from tmesh.numbers import BoolArray, IntArray
from tmesh.opcodes import Opcode
from tmesh.packets import Command, Counter, Status

Words = npt.NDArray[np.uint32]
Replies = np.ndarray[tuple[int], np.dtype[np.void]]

#: Events of one GOSSIP packet: they bound the memory of one scheduling.
EVENTS = 1 << 16

#: Bytes of a word's 32-bit parts.
_PART = 4


class EngineClient:
    """Commands of `tmesh.packets`, encoded and decoded for whole batches.

    exchange: takes words (n, link/32), their packet ends (n,), and the number of words to wait for;
    returns these. distance: bundles from an event to one that may read its result without being
    held; for speed alone.
    """

    def __init__(
        self,
        config: CoreConfig,
        distance: int,
        exchange: Callable[[Words, npt.NDArray[np.bool_], int], Words],
    ) -> None:
        self.config, self._distance, self._exchange = config, distance, exchange
        self._parts = config.link // 32

    def identify(self, digest: int | None = None) -> int:
        """The digest of the engine's build.

        Raises `EngineError` unless it is a build of this configuration, and of `digest` if given.
        """
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
        if digest is not None and built != digest:
            raise EngineError(f"the engine is build {built:032x}, not {digest:032x}")
        return built

    def write_states(self, agents: IntArray, r: IntArray) -> None:
        """Bloch vectors (m, 3) of agents (m,)."""
        body = np.zeros((len(r), 4), dtype=np.int32)
        body[:, :3] = r
        self._send(Command.WRITE_STATE, self._address(agents), body)

    def read_states(self, agents: IntArray) -> IntArray:
        """Bloch vectors (m, 3) of agents (m,)."""
        replies = self._send(Command.READ_STATE, self._address(agents), None)
        return replies["body"][:, :3].astype(np.int64)

    def write_operator(self, number: int, c: IntArray) -> None:
        """An operator by its rows (8, 16), see `tmesh.golden.pauli.rows`."""
        arguments = (number << packets.OPERATOR_SHIFT) + np.arange(len(c))
        self._send(Command.WRITE_OPERATOR, arguments, c.astype(np.int32))

    def gossip(self, number: int, pairs: IntArray, both: bool) -> None:
        """Events of `pairs` (m, 2) under an operator, with the result of one after another."""
        for first in range(0, len(pairs), EVENTS):
            body = self._bundles(pairs[first : first + EVENTS], both)
            self._send(Command.GOSSIP, np.array([number]), body.reshape(1, -1))

    def evolve(self, number: int, pairs: IntArray, both: bool) -> BoolArray:
        """The same of any operator; whose weight vanished (m,), so that nothing happened."""
        replies = self._rounds(Command.EVOLVE, pairs, both=both, operator=number)
        return np.asarray(replies["status"] == Status.VANISHED)

    def interfere(self, pairs: IntArray) -> IntArray:
        """Swap tests of `pairs` (m, 2), the first of which is written; visibilities (m,)."""
        return self._rounds(Command.INTERFERE, pairs)["body"][:, 3].astype(np.int64)

    def update(self, members: IntArray, squarings: int, dephase: bool) -> tuple[IntArray, IntArray]:
        """Rounds of the first of each of `members` (m, n), −1 for none: S(diag ρ) and outcome."""
        replies = self._rounds(Command.UPDATE, members, squarings=squarings, dephase=dephase)
        return replies["body"][:, 3].astype(np.int64), replies["value"].astype(np.int64)

    def observe(self, agents: IntArray) -> rounds.Observation:
        """Spectrum, entropy, purity and diagonal of agents (m,)."""
        replies = self._send(Command.OBSERVE, self._address(agents), None)
        body = replies["body"].astype(np.int64)
        diagonal = replies["value"].astype(np.int32).astype(np.int64)
        return rounds.Observation(body[:, :2], body[:, 2], body[:, 3], diagonal)

    def matrix(self, code: Opcode, u: IntArray, x: IntArray) -> fixed.Reply:
        """An operation of the core on operands (n, 4, 4, 2) each."""
        n = len(x)
        body = np.concatenate([u.reshape(n, 32), x.reshape(n, 32)], axis=1).astype(np.int32)
        replies, results = self._exchanged(Command.MATRIX, np.full(n, code), body, None)
        return fixed.Reply(
            y=results[:, 4:].reshape(n, 4, 4, 2),
            weight=replies["body"][:, 0].astype(np.int64),
            values=results[:, :4],
            entropy=replies["body"][:, 1].astype(np.int64),
            saturated=(replies["flags"] & packets.SATURATED) != 0,
            vanished=replies["status"] == Status.VANISHED,
        )

    def _rounds(self, command: Command, members: IntArray, **asked: int) -> Replies:
        """A packet for each of `members` (m, n), without those of −1."""
        there = members >= 0
        ordered = np.take_along_axis(members, np.argsort(~there, axis=1, kind="stable"), axis=1)
        others = np.count_nonzero(there, axis=1) - 1
        body = self._address(np.maximum(ordered, 0)).astype(np.uint32)
        addresses = self._address(members[:, 0])
        body[:, 0] = packets.packed(packets.ROUND, {"others": others, **asked})
        parts = [
            self._send(command, addresses[part], body[part], others[part] + 1)
            for part in (slice(n, n + EVENTS) for n in range(0, len(members), EVENTS))
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=packets.REPLY)

    def counter(self, counter: Counter) -> int:
        """A counter of the engine."""
        (reply,) = self._send(Command.COUNTER, np.array([counter]), None)
        return int.from_bytes(reply["body"][:2].tobytes(), "little")

    def _address(self, agents: IntArray) -> IntArray:
        row, bank = self._places(agents)
        return np.asarray(row | (bank << packets.ROW_BITS))

    def _places(self, agents: IntArray) -> tuple[IntArray, IntArray]:
        """Rows and banks; `np.divmod` takes several times as long."""
        rows = agents // self.config.gossip_lanes
        return rows, agents - rows * self.config.gossip_lanes

    def _bundles(self, pairs: IntArray, both: bool) -> npt.NDArray[np.uint32]:
        """The bundles of events (m, 2), (bundles, 32-bit parts)."""
        lanes = self.config.gossip_lanes
        where = schedule.bundles(pairs, both, self.config.agents, lanes, self._distance)
        slots = np.zeros((where.max(initial=-1) + 1, lanes), dtype=np.uint64)
        (row_a, row_b), (bank_a, bank_b) = (x.T for x in self._places(pairs))
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
        self,
        command: Command,
        arguments: IntArray,
        body: npt.NDArray[np.generic] | None,
        lengths: IntArray | int | None = None,
    ) -> Replies:
        return self._exchanged(command, arguments, body, lengths)[0]

    def _exchanged(
        self,
        command: Command,
        arguments: IntArray,
        body: npt.NDArray[np.generic] | None,
        lengths: IntArray | int | None,
    ) -> tuple[Replies, IntArray]:
        """One packet for each argument, with its row of `body`, or as many of its integers as
        `lengths` says; their replies, all of them OK, or VANISHED, and the values behind these (n,
        …).
        """
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
        words, place = packet.reshape(-1, self._parts), np.arange(each // self._parts)
        # `np.tile` takes a long time for this.
        last = np.broadcast_to(place == place[-1], (n, len(place))).reshape(-1)
        if lengths is not None:
            ends = (-(-(start + np.broadcast_to(lengths, n)) // self._parts) - 1)[:, None]
            kept = place <= ends
            words, last = packet.reshape(n, len(place), self._parts)[kept], (place == ends)[kept]
        size = packets.REPLY.itemsize // _PART
        results = packets.RESULTS if command == Command.MATRIX else 0
        answer = -(-size // self._parts) + results // self._parts
        received = self._exchange(words, last, n * answer).reshape(n, answer * self._parts)
        replies = np.ascontiguousarray(received[:, :size]).view(packets.REPLY)[:, 0]
        if not np.array_equal(replies["tag"], header["tag"]):
            raise EngineError(f"{command.name}: the replies are not those of the packets")
        status = replies["status"]
        bad = np.nonzero((status != Status.OK) & (status != Status.VANISHED))[0]
        if len(bad):
            number = int(status[bad[0]])
            name = Status(number).name if number in list(Status) else f"unknown status {number}"
            raise EngineError(f"{command.name} {int(arguments[bad[0]])}: {name}")
        following = received[:, received.shape[1] - results :].view(np.int32)
        return replies, following.astype(np.int64)


def _slot(
    own: IntArray, other: IntArray, bank: IntArray, second: npt.ArrayLike, double: npt.ArrayLike
) -> npt.NDArray[np.uint64]:
    """Slots as integers, see `packets.SLOT`."""
    values = {"own": own, "other": other, "bank": bank, "second": second, "double": double}
    return packets.packed(packets.SLOT, {**values, "valid": 1})
