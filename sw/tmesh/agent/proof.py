"""Fraud proofs: events that show to anybody that their author broke a rule."""

import dataclasses
import enum
from collections.abc import Container
from functools import cached_property

import cbor2

from tmesh.agent.statement import Statement, digest
from tmesh.agent.step import PlaceRules
from tmesh.errors import InvalidInput, InvalidProof
from tmesh.finality import Act, Decision, Signed, pack, unpack
from tmesh.genesis import Genesis
from tmesh.ledger.encoding import array, loaded, number, octets

#: First in the bytes of a proof.
DOMAIN = "tmesh proof 1"

#: The most bytes of a proof.
LARGEST = 1 << 20


class Kind(enum.IntEnum):
    """The rule that was broken."""

    EQUIVOCATION = 1  # two statements of one round
    OPENING = 2  # evidence above the cap, or a lock without an outcome
    SECOND_OPENING = 3  # two statements of different evidence
    STEP = 4  # a statement that does not follow from what it cites
    VOTES = 5  # two attestations, or two commits, of one epoch


_KINDS = frozenset(Kind)


@dataclasses.dataclass(frozen=True)
class Proof:
    """Statements or votes in one decision that show a fault of the first one's author.

    A step is shown by the statement, its author's last one, and those of its list; a double vote by
    two `votes`. `verify` needs the genesis and nothing else. Raises `InvalidInput` for fields that
    `decode` would refuse.
    """

    kind: Kind
    decision: Decision
    statements: tuple[Statement, ...] = ()
    votes: tuple[Signed, ...] = ()

    def __post_init__(self) -> None:
        kind = number("kind", self.kind)
        if kind not in _KINDS:
            raise InvalidInput(f"kind: {kind} is not a valid one")
        object.__setattr__(self, "kind", Kind(kind))
        counts: dict[Kind, Container[int]] = {
            Kind.OPENING: (1,),
            Kind.STEP: range(2, 514),
            Kind.VOTES: (0,),
        }
        if len(self.statements) not in counts.get(Kind(kind), (2,)):
            raise InvalidInput(f"statements: {len(self.statements)} do not show it")
        if len(self.votes) != 2 * (kind == Kind.VOTES):
            raise InvalidInput(f"votes: {len(self.votes)} do not show it")

    @property
    def author(self) -> int:
        """The agent that broke the rule."""
        return self.votes[0].author if self.votes else self.statements[0].author

    @cached_property
    def encoded(self) -> bytes:
        """Its bytes: deterministic CBOR."""
        some = [one.encoded for one in self.statements]
        parts = [DOMAIN, int(self.kind), self.decision.fields, some, pack(self.votes)]
        return octets("proof", cbor2.dumps(parts, canonical=True), most=LARGEST)

    @classmethod
    def decode(cls, data: bytes) -> "Proof":
        """From its bytes, exactly those that `encoded` gives. Raises `InvalidInput` for others."""
        domain, kind, fields, some, votes = array("proof", loaded(data, LARGEST), 5)
        if domain != DOMAIN:
            raise InvalidInput("proof: it is of another kind")
        statements = tuple(Statement.decode(one) for one in array("statements", some))
        made = cls(kind, Decision.read(fields), statements, tuple(unpack(votes)))
        if made.encoded != data:
            raise InvalidInput("proof: the encoding is not canonical")
        return made

    def verify(self, genesis: Genesis) -> str:
        """The fault that it shows. Raises `InvalidProof` if it shows none."""
        if self.decision.agents >> len(genesis.keys):
            raise InvalidProof("it is of agents without keys")
        for one in self.statements:
            if one.place.decision != self.decision.id:
                raise InvalidProof("a statement is of another decision")
            if not one.verify(genesis.keys):
                raise InvalidProof(f"agent {one.author} did not sign a statement")
        for author, vote, signature in self.votes:
            if not self.decision.verify(genesis.keys, author, vote, signature):
                raise InvalidProof(f"agent {author} did not sign a vote")
        fault = self._vote_fault() if self.votes else self._fault(genesis)
        if fault is None:
            raise InvalidProof(f"agent {self.author} kept the rules")
        return f"agent {self.author}: {fault}"

    def _fault(self, genesis: Genesis) -> str | None:
        first, second = self.statements[0], self.statements[-1]
        rules = PlaceRules(genesis, self.decision, first.place)
        branchings = len(rules.tree.branchings)
        if any(len(one.opinions.z) != branchings for one in self.statements):
            raise InvalidProof("a statement has opinions that the decision has not")
        match self.kind:
            case Kind.EQUIVOCATION:
                same = first.place == second.place and first.round == second.round
                if same and first.author == second.author and first.id < second.id:
                    return f"two statements of round {first.round}"
            case Kind.OPENING:
                if not first.round:
                    return rules.opening_fault(first)
            case Kind.SECOND_OPENING:
                openings = not any(one.round or one.lock for one in (first, second))
                if openings and first.author == second.author and first.id < second.id:
                    return "two openings" if first.opinions != second.opinions else None
            case Kind.STEP:
                return self._step_fault(rules)
        return None

    def _vote_fault(self) -> str | None:
        (one, first, _), (other, second, _) = self.votes
        same = one == other and first.act == second.act and first.epoch == second.epoch
        if same and first.act != Act.ENTER and first.outcome != second.outcome:
            return f"it votes for outcomes {first.outcome} and {second.outcome}"
        return None

    def _step_fault(self, rules: PlaceRules) -> str | None:
        first, *cited = self.statements
        if not first.round or any(one.place != first.place for one in cited):
            return None
        if not all(rules.draw.members >> one.author & 1 for one in self.statements):
            return None
        if [one.author for one in cited] != [first.author, *first.heard(rules.draw)]:
            return None
        if digest(one.id for one in cited) != first.cites:
            return None
        for one in cited:
            late = first.round - 1 - one.round
            if late and not (late > 0 and rules.stands(one)):
                return "it cites a statement of another round"
        return rules.step_fault(first, cited) or rules.number_fault(first, cited)
