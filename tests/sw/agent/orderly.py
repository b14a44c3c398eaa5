"""A swarm under an orderly scheduler: messages arrive at once, and timers expire at their times."""

from tmesh.agent import Effect

from .schedules import Run


class OrderlyRun(Run):
    """`Run` with messages and results in the order of their sending, and a clock for timers."""

    now = 0.0

    def act(self, agent: int, effects: list[Effect]) -> None:
        """Carry effects out. A timer is kept with the time at which it expires."""
        before = len(self.timers)
        super().act(agent, effects)
        self.timers[before:] = [
            (one, timer, self.now + seconds) for one, timer, seconds in self.timers[before:]
        ]

    def step(self) -> None:
        """The oldest message or result, or the timer that expires next."""
        self.steps += 1
        if self.pool:
            self.deliver(0)
        else:
            place = min(range(len(self.timers)), key=lambda one: self.timers[one][2])
            self.now = max(self.now, self.timers[place][2])
            self.expire(place)

    def deliver(self, place: int) -> None:
        """A message or result at a place of the queue."""
        kind, agent, what = self.pool.pop(place)
        receiver = self.swarm[agent]
        self.act(agent, receiver.receive(what) if kind == "message" else receiver.computed(*what))

    def expire(self, place: int) -> None:
        """A timer, perhaps before its time."""
        agent, timer, _ = self.timers.pop(place)
        self.act(agent, self.swarm[agent].expire(timer))
