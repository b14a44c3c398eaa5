"""The engine in integers: a packet in, the reply that the gateware gives, bit for bit.

Bundles are executed one after another, all reads of a bundle before its writes; nothing here knows
of lanes that overlap, of stalls or of the order in which results come.
"""

import numpy as np
import numpy.typing as npt

from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.golden import pauli
from tmesh.numbers import IntArray
from tmesh.packets import Command, Counter, Status

Words = npt.NDArray[np.uint32]

#: 32-bit parts of the header of a command.
_HEADER = packets.HEADER.itemsize // 4


class EngineModel:
    """Resident states (banks, rows, 3), operators, and the counters that timing does not change."""

    def __init__(self, config: CoreConfig, digest: int = 0) -> None:
        self.config, self.digest = config, digest
        self.states = np.zeros((config.gossip_lanes, config.rows, 3), dtype=np.int64)
        shape = (config.operators, packets.OPERATOR_ROWS, packets.ROW_LENGTH)
        self.operators = np.zeros(shape, dtype=np.int64)
        self.counters = dict.fromkeys(Counter, 0)
        self._saturated = False

    def execute(self, packet: Words) -> Words:
        """The reply (words, link/32) to a packet (words, link/32)."""
        parts = packet.shape[1]
        flat = packet.reshape(-1)
        padded = np.zeros(_HEADER, dtype=np.uint32)
        padded[: flat.size] = flat[:_HEADER]
        header = padded.view(packets.HEADER)[0]
        self._saturated = False
        reply = np.zeros(1, dtype=packets.REPLY)
        if flat.size < _HEADER:
            status = Status.BAD_LENGTH
        elif header["version"] != packets.VERSION:
            status = Status.BAD_VERSION
        elif int(header["command"]) not in set(Command):
            status = Status.UNKNOWN_COMMAND
        else:
            body = flat[max(_HEADER, parts) :]
            command, argument = Command(int(header["command"])), int(header["argument"])
            status = self._execute(command, argument, body, reply)
        reply["status"], reply["tag"] = status, header["tag"]
        reply["flags"] = packets.SATURATED * self._saturated
        size = packets.REPLY.itemsize // 4
        words = np.zeros(-(-size // parts) * parts, dtype=np.uint32)
        words[:size] = reply.view(np.uint32)
        return words.reshape(-1, parts)

    def _execute(
        self, command: Command, argument: int, body: Words, reply: npt.NDArray[np.void]
    ) -> Status:
        length = {Command.WRITE_STATE: 4, Command.WRITE_OPERATOR: packets.ROW_LENGTH}.get(
            command, 0
        )
        if bool(body.size) != (length > 0 or command == Command.GOSSIP):
            return Status.BAD_LENGTH
        bank, row = argument >> packets.ROW_BITS, argument & ((1 << packets.ROW_BITS) - 1)
        number, form = argument >> packets.OPERATOR_SHIFT, argument % (1 << packets.OPERATOR_SHIFT)
        there = {
            Command.IDENTIFY: argument < 3,
            Command.COUNTER: argument < len(Counter),
            Command.READ_STATE: self._there(bank, row),
            Command.WRITE_STATE: self._there(bank, row),
            Command.WRITE_OPERATOR: number < len(self.operators) and form < packets.OPERATOR_ROWS,
            Command.GOSSIP: argument < len(self.operators),
        }
        if not there.get(command, True):
            return Status.BAD_ADDRESS
        if command == Command.GOSSIP:
            return self._gossip(argument, body, reply)
        if body.size != length:
            return Status.BAD_LENGTH
        values = body.view(np.int32).astype(np.int64)
        if np.any((values < self.config.q.min) | (values > self.config.q.max)):
            return Status.BAD_VALUE
        match command:
            case Command.IDENTIFY:
                reply["body"] = self._identity(argument)
            case Command.RESET:
                self.counters = dict.fromkeys(Counter, 0)
            case Command.COUNTER:
                count = self.counters[Counter(argument)]
                reply["body"][0, :2] = np.array([count], dtype=np.int64).view(np.int32)
            case Command.READ_STATE:
                reply["body"][0, :3] = self.states[bank, row]
            case Command.WRITE_STATE:
                self.states[bank, row] = values[:3]
            case Command.WRITE_OPERATOR:
                self.operators[number, form] = values
        return Status.OK

    def _there(self, bank: int, row: int) -> bool:
        return bank < self.config.gossip_lanes and row < self.config.rows

    def _identity(self, group: int) -> IntArray:
        c = self.config
        groups = [
            [packets.VERSION, c.f, c.gossip_lanes, c.link],
            [c.gossip_lanes * c.rows, c.operators, 0, 0],
            np.frombuffer(self.digest.to_bytes(16, "little"), dtype=np.int32),
        ]
        return np.array(groups[group], dtype=np.int64)

    def _gossip(self, number: int, body: Words, reply: npt.NDArray[np.void]) -> Status:
        lanes, link = self.config.gossip_lanes, self.config.link
        size = max(packets.bundle_bits(lanes), link) // 32
        forms = self.operators[number].reshape(2, 3, 4, 4)
        for n, bundle in enumerate(body[: len(body) // size * size].reshape(-1, size)):
            bits = int.from_bytes(bundle.tobytes(), "little")
            slots = [_slot(bits >> (packets.SLOT_STRIDE * lane)) for lane in range(lanes)]
            for lane, slot in enumerate(slots):
                known = slot["own"] < self.config.rows and self._there(slot["bank"], slot["other"])
                if slot["valid"] and not (known and (not slot["double"] or slot["bank"] == lane)):
                    return Status.BAD_ADDRESS
            self._meet(slots, forms)
            reply["value"] = n + 1
        return Status.BAD_LENGTH if len(body) % size else Status.OK

    def _meet(self, slots: list[dict[str, int]], forms: IntArray) -> None:
        writes = []
        for lane, slot in enumerate(slots):
            if slot["valid"]:
                own = self.states[lane, slot["own"]]
                other = self.states[slot["bank"], slot["other"]]
                writes.append((lane, slot["own"], self._vector(forms[slot["second"]], own, other)))
                if slot["double"]:
                    second = self._vector(forms[1], other, own)
                    writes.append((lane, slot["other"], second))
        for bank, row, vector in writes:
            self.states[bank, row] = vector

    def _vector(self, form: IntArray, own: IntArray, other: IntArray) -> IntArray:
        c, r, t = (x.astype(np.float64) for x in (form, own[:, None], other[:, None]))
        result, saturated = pauli.evolve(c, r, t, self.config.f)
        self.counters[Counter.EVENTS] += 1
        self.counters[Counter.SATURATIONS] += int(saturated[0])
        self._saturated |= bool(saturated[0])
        return result[:, 0].astype(np.int64)


def _slot(bits: int) -> dict[str, int]:
    """The fields of a slot."""
    fields = {}
    for name, width in packets.SLOT.items():
        fields[name] = bits & ((1 << width) - 1)
        bits >>= width
    return fields
