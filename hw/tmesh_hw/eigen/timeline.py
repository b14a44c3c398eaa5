"""Values of a step at later cycles of the same step.

Matrices follow each other around the ring, so a value is produced once per interval. It must be
kept until its last use, and the values of the next matrices are kept behind it.
"""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from tmesh.errors import InvalidInput


class Timeline:
    """The cycle within the interval, and storage of values between cycles.

    The cycle is one-hot, since it drives the enables of every register, and each bit has one more
    copy for every `SHARED` uses. With `jumps` it is a number, `phase`, that its owner may set to
    skip cycles that are not needed.
    """

    #: Uses of a bit, each some 26 registers: a copy that drives more would need wires everywhere.
    SHARED = 4

    def __init__(self, m: Module, interval: int, intervals: int, *, jumps: bool) -> None:
        """At least `intervals` of `interval` cycles can be bridged."""
        self._m = m
        self.interval = interval
        self._depth = 1 << intervals.bit_length()
        self._memories = 0
        if jumps:
            self.phase = Signal(range(interval))
            self._now = {time: self.phase == time for time in range(interval)}
            m.d.sync += self.phase.eq(Mux(self.phase == interval - 1, 0, self.phase + 1))
        else:
            self._ring = Signal(interval, init=1)
            self._uses = [0] * interval
            self._now = {}
            m.d.sync += self._ring.eq(Cat(self._ring[-1], self._ring[:-1]))
        self._jumps = jumps

    @property
    def end(self) -> Any:
        """High in the last cycle of an interval."""
        return self.at(self.interval - 1)

    def at(self, time: int) -> Any:
        """High in cycle `time` of a step. Not for use inside an ``m.If``: it makes registers."""
        time %= self.interval
        if not self._jumps:
            if self._uses[time] % self.SHARED == 0:
                self._now[time] = copy = Signal(init=time == 0, name="now", attrs={"keep": 1})
                self._m.d.sync += copy.eq(self._ring[time - 1])
            self._uses[time] += 1
        return self._now[time]

    def word(self, source: Any, time: int, *, reset: bool = False) -> "Word":
        """The value of `source` in cycle `time` of the step; `reset`: in registers with a reset."""
        return Word(self, self._m, source, time, reset=reset)

    def address(self, time: int, back: int) -> Any:
        """A counter that moves on after each cycle `time` of a step, `back` behind: one for every
        port. Equal ones are kept apart, because one for all would need wires everywhere."""
        counter = Signal(range(self._depth), init=-back % self._depth, attrs={"keep": 1})
        with self._m.If(self.at(time)):
            self._m.d.sync += counter.eq(counter + 1)
        return counter

    def memory(self, source: Any, time: int) -> Any:
        """A memory in which `source` of cycle `time` is kept. It is written always, but only the
        last value before the address moves on stays. So the enable needs no gates."""
        memory = Memory(shape=source.shape(), depth=self._depth, init=[])
        self._m.submodules[f"kept{self._memories}"] = memory
        self._memories += 1
        port = memory.write_port()
        self._m.d.comb += [
            port.addr.eq(self.address(time, 0)),
            port.data.eq(source),
            port.en.eq(1),
        ]
        return memory


class Word:
    """A word of each matrix, available in one cycle of its step."""

    #: Intervals up to which registers are cheaper than a memory.
    REGISTERS = 3

    def __init__(
        self, timeline: Timeline, m: Module, source: Any, time: int, *, reset: bool
    ) -> None:
        self._timeline, self._m, self.time = timeline, m, time
        self._source = Signal(Value.cast(source).shape())
        m.d.comb += self._source.eq(source)
        self._reset = reset
        self._registers: list[Any] = []
        self._memory: Any = None
        self._taps: dict[int, Any] = {0: self._source}

    def at(self, time: int) -> Any:
        """The word in cycle `time` of the same step, not before it is available."""
        delay = time - self.time
        if delay < 0:
            raise InvalidInput(f"a value of cycle {self.time} is not there in cycle {time}")
        if delay not in self._taps:
            intervals = -(-delay // self._timeline.interval)
            if intervals <= self.REGISTERS or self._reset:
                self._taps[delay] = self._register(intervals)
            else:
                self._taps[delay] = self._read(delay)
        return self._taps[delay]

    def _register(self, intervals: int) -> Any:
        """Word of a shift register that moves once per interval."""
        while len(self._registers) < intervals:
            before = self._registers[-1] if self._registers else self._source
            register = Signal.like(before, reset_less=not self._reset)
            with self._m.If(self._timeline.at(self.time)):
                self._m.d.sync += register.eq(before)
            self._registers.append(register)
        return self._registers[intervals - 1]

    def _read(self, delay: int) -> Any:
        """A word from memory, read one cycle early into a register."""
        timeline = self._timeline
        if self._memory is None:
            self._memory = timeline.memory(self._source, self.time)
        port = self._memory.read_port(domain="comb")
        tap = Signal.like(self._source, reset_less=True)
        back = 1 + (delay - 2) // timeline.interval
        self._m.d.comb += port.addr.eq(timeline.address(self.time, back))
        self._m.d.sync += tap.eq(port.data)
        return tap
