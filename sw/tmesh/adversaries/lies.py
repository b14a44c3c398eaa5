"""Byzantine agents whose lies a fraud proof shows."""

import dataclasses

from tmesh.adversaries.byzantine import Byzantine, Rewriting
from tmesh.agent.message import Bundle
from tmesh.agent.opinion import tree
from tmesh.agent.stage import Stage
from tmesh.agent.statement import Statement


class _Liar(Byzantine):
    """Lies in every round after the first."""

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        return count > 0


class Stubborn(_Liar):
    """Certain of its outcome in every statement."""

    name = "stubborn"

    @classmethod
    def claims(cls, z: int, certain: int) -> int:
        return certain

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        return self.certain(statement, self.wanted(statement))


class Flip(_Liar):
    """States the opposite of its opinions."""

    name = "flip"

    @classmethod
    def claims(cls, z: int, certain: int) -> int:
        return -z

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        return _with(statement, [-one for one in statement.opinions.z])


class Random(_Liar):
    """States a random opinion."""

    name = "random"

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        one = self.rules.one
        return _with(statement, [self.plot.rng.randint(-one, one) for _ in statement.opinions.z])


class Hold(_Liar):
    """Balances: states the opinion that brings the sum of its citations to zero."""

    name = "hold"

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        cited = stage.history.cited(statement) or []
        sums = [sum(z) for z in zip(*(one.opinions.z for one in cited), strict=True)]
        one = self.rules.one
        return _with(statement, [max(-one, min(one, -total)) for total in sums])


class Arithmetic(Byzantine):
    """Its results are wrong by one unit, as from a broken core, from its third round on."""

    name = "arithmetic"

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        return count >= 3

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        return _with(statement, [one - 1 for one in statement.opinions.z])


class Loud(Byzantine):
    """States evidence above the cap."""

    name = "loud"

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        return count == 0

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        z = tree(len(statement.opinions.z) + 1).certain(self.wanted(statement), self.rules)
        return _with(statement, list(z))


class Reopen(Byzantine):
    """States other evidence when it starts again."""

    name = "reopen"

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        return count == 0

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        if statement.place.generation == 0:
            return statement
        return _with(statement, [one // 2 for one in statement.opinions.z])


class Sacrifice(Byzantine):
    """Proves itself at the worst moment, when it begins to amplify, one after another."""

    name = "sacrifice"

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        return amplified and gone >= rank

    def lie(self, statement: Statement, stage: Stage) -> Statement:
        return self.certain(statement, self.wanted(statement))


class Equivocate(Rewriting):
    """States its opinions to half of its neighbours, and the opposite to the rest."""

    name = "equivocate"

    @classmethod
    def lies(cls, count: int, amplified: bool, rank: int, gone: int) -> bool:
        return count > 0

    def rewrite(self, bundle: Bundle, to: int) -> Bundle:
        if to % 2:
            return bundle
        statements = [
            self._other(one) if one.author == self.me else one for one in bundle.statements
        ]
        return dataclasses.replace(bundle, statements=tuple(statements))

    def _other(self, statement: Statement) -> Statement:
        other = _with(statement, [-one for one in statement.opinions.z])
        return other.signed(self._context.signer)


def _with(statement: Statement, z: list[int]) -> Statement:
    opinions = statement.opinions._replace(z=tuple(z))
    return dataclasses.replace(statement, opinions=opinions)
