"""The engine in integers: a packet in, the reply that the gateware gives, bit for bit.

Bundles are executed one after another, all reads of a bundle before its writes; nothing here knows
of lanes that overlap, of stalls or of the order in which results come.
"""

import numpy as np
import numpy.typing as npt

from tmesh import packets
from tmesh.config import CoreConfig
from tmesh.errors import InvalidInput
from tmesh.golden import fixed, pauli, rounds
from tmesh.numbers import IntArray
from tmesh.opcodes import Opcode
from tmesh.packets import Command, Counter, Status

Words = npt.NDArray[np.uint32]

#: Where a state is: bank and row.
Place = tuple[int, int]

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
        self._saturated, self._results = False, np.zeros(0, dtype=np.int64)

    def execute(self, packet: Words) -> Words:
        """The reply (words, link/32) to a packet (words, link/32)."""
        parts = self.config.link // packets.INTEGER
        if packet.dtype != np.uint32 or packet.ndim != 2 or packet.shape[1] != parts:
            raise InvalidInput(
                f"packet must be uint32 (n, {parts}), not {packet.dtype} {packet.shape}"
            )
        flat = packet.reshape(-1)
        padded = np.zeros(_HEADER, dtype=np.uint32)
        padded[: flat.size] = flat[:_HEADER]
        header = padded.view(packets.HEADER)[0]
        self._saturated, self._results = False, np.zeros(0, dtype=np.int64)
        reply = np.zeros(1, dtype=packets.REPLY)
        if flat.size < _HEADER:
            status = Status.BAD_LENGTH
        elif header["version"] != packets.VERSION:
            status = Status.BAD_VERSION
        elif int(header["command"]) not in self._commands:
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
        return np.concatenate([words, self._results.astype(np.uint32)]).reshape(-1, parts)

    def _execute(
        self, command: Command, argument: int, body: Words, reply: npt.NDArray[np.void]
    ) -> Status:
        lengths = {
            Command.WRITE_STATE: 4,
            Command.WRITE_OPERATOR: packets.ROW_LENGTH,
            Command.MATRIX: packets.OPERANDS,
        }
        length = lengths.get(command, 0)
        longer = (Command.GOSSIP, Command.UPDATE, Command.INTERFERE, Command.EVOLVE)
        if bool(body.size) != (length > 0 or command in longer):
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
            Command.MATRIX: argument in {code for code in Opcode if self.config.has(code)},
            **dict.fromkeys(packets.ROUNDS, self._there(bank, row)),
        }
        if not there.get(command, True):
            return Status.BAD_ADDRESS
        if command == Command.GOSSIP:
            return self._gossip(argument, body, reply)
        if command == Command.OBSERVE:
            return self._observe(self.states[bank, row], reply)
        if command in packets.ROUNDS:
            return self._round(command, (bank, row), body, reply)
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
            case Command.MATRIX:
                return self._matrix(Opcode(argument), values, reply)
        return Status.OK

    @property
    def _commands(self) -> set[Command]:
        absent = set() if self.config.lanes else {Command.MATRIX}
        return set(Command) - absent - (set() if self.config.rounds else set(packets.ROUNDS))

    def _matrix(self, code: Opcode, values: IntArray, reply: npt.NDArray[np.void]) -> Status:
        u, x = values.reshape(2, 1, 4, 4, 2)
        result = fixed.execute(code, u, x, self.config.f)
        reply["body"][0, :2] = result.weight[0], result.entropy[0]
        self._results = np.concatenate([result.values[0], result.y.reshape(-1)])
        self._saturated = bool(result.saturated[0])
        self.counters[Counter.SATURATIONS] += int(self._saturated)
        return Status.VANISHED if result.vanished[0] else Status.OK

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
        forms = self.operators[number, :6].reshape(2, 3, 4, 4)
        for n, bundle in enumerate(body[: len(body) // size * size].reshape(-1, size)):
            bits = int.from_bytes(bundle.tobytes(), "little")
            strides = [packets.SLOT_STRIDE * lane for lane in range(lanes)]
            slots = [packets.fields(packets.SLOT, bits >> stride) for stride in strides]
            for lane, slot in enumerate(slots):
                known = slot["own"] < self.config.rows and self._there(slot["bank"], slot["other"])
                if slot["valid"] and not (known and (not slot["double"] or slot["bank"] == lane)):
                    return Status.BAD_ADDRESS
            self._meet(slots, forms)
            reply["value"] = n + 1
        return Status.BAD_LENGTH if len(body) % size else Status.OK

    def _round(
        self, command: Command, own: Place, body: Words, reply: npt.NDArray[np.void]
    ) -> Status:
        asked = packets.fields(packets.ROUND, int(body[0]))
        if command in (Command.INTERFERE, Command.EVOLVE) and asked["others"] != 1:
            return Status.BAD_VALUE
        if command == Command.EVOLVE and asked["operator"] >= len(self.operators):
            return Status.BAD_ADDRESS
        places: list[Place] = []
        for n in range(asked["others"]):
            if n + 1 >= len(body):
                return Status.BAD_LENGTH
            address = int(body[n + 1])
            bank, row = address >> packets.ROW_BITS, address & ((1 << packets.ROW_BITS) - 1)
            if not self._there(bank, row):
                return Status.BAD_ADDRESS
            places.append((bank, row))
        parts = self.config.link // 32
        if -(-(len(places) + 1) // parts) * parts != len(body):
            return Status.BAD_LENGTH
        return self._settle(command, own, places, asked, reply)

    def _settle(
        self,
        command: Command,
        own: Place,
        places: list[Place],
        asked: dict[str, int],
        reply: npt.NDArray[np.void],
    ) -> Status:
        f, state = self.config.f, self.states[own][None].copy()
        others = np.array([self.states[p] for p in places], dtype=np.int64).reshape(1, -1, 3)
        there = np.ones(others.shape[:2], dtype=np.bool_)
        match command:
            case Command.UPDATE:
                fractions = [(own, rounds.mean(state, others, there, bool(asked["dephase"]), f))]
            case Command.INTERFERE:
                fractions = [(own, rounds.interfere(state, others[:, 0], f))]
            case _:
                forms = pauli.forms(self.operators[asked["operator"]])
                fractions = [(own, rounds.weigh(forms[0], state, others[:, 0], f))]
                if asked["both"]:
                    second = rounds.weigh(forms[1], others[:, 0], state, f)
                    fractions.insert(0, (places[0], second))
                if fractions[0][1].vanished[0]:
                    return Status.VANISHED
        for place, fraction in fractions:
            r, saturated = rounds.settle(fraction, asked["squarings"], f)
            self.states[place] = r[0]
            self.counters[Counter.ROUNDS] += 1
            self.counters[Counter.SATURATIONS] += int(saturated[0])
            self._saturated |= bool(saturated[0])
        reply["body"][0, :3] = r[0]
        match command:
            case Command.UPDATE:
                reply["body"][0, 3] = rounds.outcome_entropy(r, f)[0]
                reply["value"] = r[0, 2] < 0
            case Command.INTERFERE:
                reply["body"][0, 3] = rounds.visibility(fraction, f)[0]
            case _:
                reply["body"][0, 3] = rounds.weight(fraction, f)[0]
        return Status.OK

    def _observe(self, state: IntArray, reply: npt.NDArray[np.void]) -> Status:
        seen = rounds.observe(state[None], self.config.f)
        reply["body"][0] = [*seen.eigenvalues[0], seen.entropy[0], seen.purity[0]]
        reply["value"] = int(seen.diagonal[0]) & 0xFFFFFFFF
        return Status.OK

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
