"""Every parser of bytes or files from outside: only declared errors, in bounded time and memory.

`make fuzz` tries tens of thousands of inputs of each; a test run tries a few. Inputs are valid ones
with parts of their CBOR tree replaced, valid ones with bytes changed, and bytes of any kind.
"""

import atexit
import contextlib
import dataclasses
import io
import os
import resource
import signal
import tempfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tmesh import packets
from tmesh.agent import (
    Agent,
    Compute,
    Effect,
    Persist,
    Proof,
    Send,
    SetTimer,
    Statement,
    evaluate,
    message,
)
from tmesh.agent.opinion import Opinions
from tmesh.agent.proof import Kind as Fraud
from tmesh.agent.records import Record, RecordKind
from tmesh.campaigns import Store
from tmesh.config import CONFIGS
from tmesh.devices.client import EngineClient
from tmesh.errors import FileError, InvalidInput, InvalidMessage, TMeshError
from tmesh.finality import Act, Certificate, Decision, Signed, Summary, Vote, Voter, pack, unpack
from tmesh.frames import Kind as FrameKind
from tmesh.genesis import Genesis, SwarmRules
from tmesh.ledger import Equivocation, Event, Journal, KeySet, Kind, Ledger, Reconciler
from tmesh.link import Decoder, Frame, encode
from tmesh.swarm import Scenario, tables

#: Inputs of each parser; `make fuzz` sets it.
RUNS = int(os.environ.get("TMESH_FUZZ", "150"))

#: Limits on the seconds for one input and on the bytes that a parser adds to the process. Both are
#: far above any measured value, so that they hold on a busy machine.
SECONDS, MEMORY = 10, 1 << 28

_kept = tempfile.TemporaryDirectory(prefix="tmesh-fuzz-")
atexit.register(_kept.cleanup)
FOLDER = Path(_kept.name)

N = 4
KEYS, SIGNERS = KeySet.simulated(N, 0)
SWARM = Genesis(KEYS, 1, None, SwarmRules(k=2))
SLOT = Decision.of_all(b"landing pad 3", N)
VOTES = [Vote(Act.ENTER, 1, 0), Vote(Act.ATTEST, 1, 1), Vote(Act.COMMIT, 1, 1)]
SIGNED = [Signed(s.author, vote, SLOT.sign(s, vote)) for vote in VOTES for s in SIGNERS]
COMMITS = {s.author: SLOT.sign(s, VOTES[2]) for s in SIGNERS}
CERTIFICATE = Certificate.of(SLOT, VOTES[2], COMMITS)
SUMMARY = Summary(((VOTES[0], 7), (VOTES[1], 3)))


def chain() -> list[Event]:
    """Events of all agents, each of which cites others."""
    ledger = Ledger(KEYS)
    events: list[Event] = []
    for turn in range(6):
        used = events[-2:]
        events.append(ledger.next(SIGNERS[turn % N], Kind.STATEMENT, SLOT.id, used, bytes([turn])))
    return events


EVENTS = chain()
LEDGERS = [Ledger(KEYS), Ledger(KEYS)]
TWINS = [
    one.next(SIGNERS[0], Kind.STATEMENT, SLOT.id, (), payload)
    for one, payload in zip(LEDGERS, (b"left", b"right"), strict=True)
]
PROOF = Equivocation(*sorted(TWINS, key=lambda event: event.id))


def agents() -> tuple[list[bytes], list[bytes]]:
    """Messages and records of agents that settle one decision."""
    swarm = [Agent(SWARM, signer) for signer in SIGNERS]
    sent, kept, queue = list[bytes](), list[bytes](), list[tuple[int, Effect]]()
    for number, agent in enumerate(swarm):
        queue += [(number, one) for one in agent.open(SLOT, [0.9, 0.1])]
    timers = list[tuple[int, tuple[bytes, int]]]()
    while (queue or timers) and len(sent) < 120:
        if not queue:
            number, timer = timers.pop(0)
            queue += [(number, one) for one in swarm[number].expire(timer)]
            continue
        number, effect = queue.pop(0)
        match effect:
            case Send(to, message):
                sent.append(message)
                queue += [(to, one) for one in swarm[to].receive(message)]
            case Persist(record) if number == 1:
                kept.append(record)
            case SetTimer(_, timer):
                timers.append((number, timer))
            case Compute(token, works, claimed):
                results = evaluate(works, SWARM.rules.f)
                if claimed is not None:
                    results = [a == b for a, b in zip(results, claimed, strict=True)]
                queue += [(number, one) for one in swarm[number].computed(token, results)]
    return sent, kept


def fraud(stated: list[Statement]) -> Proof:
    """A second statement of the first round, beside a true one."""
    author = SIGNERS[stated[0].author].within(SWARM.id)
    z = Opinions.opening((1,))
    other = dataclasses.replace(stated[0], opinions=z).signed(author)
    pair = sorted([stated[0], other], key=lambda one: one.id)
    return Proof(Fraud.EQUIVOCATION, SLOT, tuple(pair))


SENT, KEPT = agents()
STATED = [
    Statement.decode(one.body)
    for one in map(Record.decode, KEPT)
    if one.kind == RecordKind.STATEMENT
]
FRAUD = fraud(STATED)


def npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # as NumPy's own stubs
    return buffer.getvalue()


def frames() -> list[bytes]:
    words, last = np.arange(8, dtype=np.uint32).reshape(4, 2), np.array([False, True] * 2)
    data = Frame(FrameKind.DATA, 1, 2, 3, 4, words, last, link=64)
    reset = Frame(FrameKind.RESET, 1, 0, 0, 9, words[:0], last[:0], link=64)
    return [encode(data), encode(reset), encode(reset) + encode(data)]


def journal(write: Callable[[Journal], None]) -> bytes:
    """The bytes of a journal."""
    path = FOLDER / "made.journal"
    path.unlink(missing_ok=True)
    with Journal(path) as kept:
        write(kept)
    return path.read_bytes()


def votes_kept(kept: Journal) -> None:
    voter = Voter(SLOT, KEYS, SIGNERS[0], journal=kept)
    voter.collapsed(1)
    voter.hear(SIGNED)


def events_kept(kept: Journal) -> None:
    Ledger(KEYS, journal=kept).merge(EVENTS)


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser of files as one of bytes."""

    def parse(data: bytes) -> object:
        path = FOLDER / name
        path.write_bytes(data)
        return read(path)

    return parse


def opened(use: Callable[[Journal], object]) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        with Journal(path) as kept:
            return use(kept)

    return read


def fed(data: bytes) -> object:
    """In pieces, as a wire brings it."""
    decoder = Decoder(64)
    half = len(data) // 2
    return [*decoder.feed(data[:half]), *decoder.feed(data[half:]), *decoder.feed(b"\0")]


REPLIES = np.zeros(2, dtype=packets.REPLY)
REPLIES["tag"] = [0, 1]


def replied(data: bytes) -> object:
    """Any answer that a board could give to a command."""

    def exchange(words: Any, last: Any, answers: int) -> Any:
        padded = np.frombuffer(data.ljust(8 * answers, b"\0")[: 8 * answers], dtype="<u4")
        return padded.reshape(answers, 2)

    return EngineClient(CONFIGS["default"], 12, exchange).observe(np.array([0, 1]))


def heard(data: bytes) -> object:
    """Votes of others, with whatever signatures, by an agent that counts them."""
    return Voter(SLOT, KEYS, SIGNERS[0]).hear(unpack(data))


def told(data: bytes) -> object:
    """A message to an agent in the middle of a decision."""
    agent = Agent(SWARM, SIGNERS[0])
    agent.open(SLOT, [0.9, 0.1])
    return agent.receive(data)


#: Of a parser: valid inputs, the function that reads one, and the errors that it declares.
Parser = tuple[list[bytes], Callable[[bytes], object], type[Exception]]


def parsers() -> dict[str, Parser]:
    scenario = (
        b"agents = 12\nchannel = 'wifi'\ntopology = {kind = 'ring', radius = 0.5}\n"
        b"rules = {k = 3, kappa = 8}\nbyzantine = {mute = 1, flip = [3]}\n"
        b"partitions = [{start = 0.0, end = 1.5, groups = [[0, 1], [2]]}]\n"
        b"[[subsets]]\nname = 'a'\nagents = [0, 1, 2]\n"
    )
    chances = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    return {
        "event": ([one.encoded for one in EVENTS], Event.decode, InvalidInput),
        "admission": (
            [one.encoded for one in EVENTS],
            lambda data: Ledger(KEYS).append(Event.decode(data)),
            InvalidInput,
        ),
        "equivocation": ([PROOF.encoded], Equivocation.decode, InvalidInput),
        "votes": ([pack(SIGNED), pack(SIGNED[:2])], unpack, InvalidInput),
        "voter": ([pack(SIGNED), pack(SIGNED[:2])], heard, InvalidInput),
        "summary": (
            [Summary(((VOTES[0], 7), (VOTES[1], 3))).encoded],
            Summary.decode,
            InvalidInput,
        ),
        "certificate": ([CERTIFICATE.encoded], Certificate.decode, InvalidInput),
        "verification": (
            [CERTIFICATE.encoded],
            lambda data: Certificate.decode(data).verify(KEYS),
            InvalidInput,
        ),
        "reconciliation": (
            [Reconciler(one.id for one in EVENTS[:4]).open()],
            Reconciler([one.id for one in EVENTS]).answer,
            InvalidMessage,
        ),
        "journal": (
            [journal(events_kept), journal(votes_kept)],
            in_file("read.journal", opened(lambda kept: kept.records)),
            InvalidInput,
        ),
        "journal of a ledger": (
            [journal(events_kept)],
            in_file("ledger.journal", opened(lambda kept: Ledger(KEYS, journal=kept))),
            InvalidInput,
        ),
        "journal of a voter": (
            [journal(votes_kept)],
            in_file(
                "voter.journal",
                opened(lambda kept: Voter(SLOT, KEYS, SIGNERS[0], journal=kept)),
            ),
            InvalidInput,
        ),
        "frames": (frames(), fed, InvalidInput),
        "replies": ([REPLIES.tobytes()], replied, TMeshError),
        "scenario": ([scenario], in_file("read.toml", Scenario.load), InvalidInput),
        "evidence, NPZ": (
            [npz(evidence=chances)],
            in_file("read.npz", lambda path: tables.evidence(path, 3, 2)),
            InvalidInput,
        ),
        "edges, NPZ": (
            [npz(edges=np.array([[0, 1], [1, 2]]))],
            in_file("edges.npz", lambda path: tables.edges(path, 3)),
            InvalidInput,
        ),
        "evidence, CSV": (
            [b"0.2,0.8\n0.5,0.5\n1,0\n"],
            in_file("evidence.csv", lambda path: tables.evidence(path, 3, 2)),
            InvalidInput,
        ),
        "edges, CSV": (
            [b"0,1\n1,2\n2,0\n"],
            in_file("edges.csv", lambda path: tables.edges(path, 3)),
            InvalidInput,
        ),
        "genesis": (
            [Genesis(KEYS, 1).encoded, Genesis(KEYS, 1, [(0, 1)], SwarmRules(k=2)).encoded],
            Genesis.decode,
            InvalidInput,
        ),
        "statement": ([one.encoded for one in STATED], Statement.decode, InvalidInput),
        "proof": ([FRAUD.encoded], lambda data: Proof.decode(data).verify(SWARM), InvalidInput),
        "agent's message": (SENT, message.decode, InvalidInput),
        "agent": (SENT, told, InvalidInput),
        "agent's record": (
            KEPT,
            lambda data: Agent(SWARM, SIGNERS[1], records=[data]).start(),
            InvalidInput,
        ),
        "runs": (
            [b'{"tmesh run": "a", "about": null, "result": [1]}\n{"tmesh run": "b", "resu'],
            in_file("runs", lambda path: Store(path).__exit__()),
            InvalidInput,
        ),
    }


#: The bytes of a parsed value, for parsers of messages.
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "votes": pack,
    **dict.fromkeys(
        ("event", "equivocation", "summary", "certificate", "statement"),
        lambda value: value.encoded,
    ),
}

HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([-1, 0, 1, 2**32 - 1, 2**32, 2**63, 2**64, 1 << 4000]),
    st.floats(),
    st.binary(max_size=80),
    st.text(max_size=8),
    st.lists(st.integers(0, 3), max_size=4),
    st.dictionaries(st.integers(0, 3), st.binary(max_size=2), max_size=2),
    st.builds(cbor2.CBORTag, st.integers(0, 300), st.lists(st.integers(-9, 99), max_size=2)),
)


def replaced(draw: st.DrawFn, tree: Any) -> Any:
    """A tree with a part replaced, removed, repeated or exchanged, somewhere below."""
    if isinstance(tree, bytes) and tree and draw(st.booleans()):
        with contextlib.suppress(Exception):  # a part may be CBOR, too
            inner = cbor2.loads(tree)
            if isinstance(inner, list):
                return cbor2.dumps(replaced(draw, inner), canonical=draw(st.booleans()))
    if isinstance(tree, list) and tree and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(tree) - 1))
        parts = list(tree)
        match draw(st.integers(0, 6)):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[at])
            case 2:
                other = draw(st.integers(0, len(tree) - 1))
                parts[at], parts[other] = parts[other], parts[at]
            case _:
                parts[at] = replaced(draw, parts[at])
        return parts
    return draw(HOSTILE)


@st.composite
def inputs(draw: st.DrawFn, valid: list[bytes]) -> bytes:
    data = draw(st.sampled_from(valid))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind < 6:
        with contextlib.suppress(Exception):
            tree = cbor2.loads(data)
            if isinstance(tree, list | dict):
                return cbor2.dumps(replaced(draw, tree), canonical=draw(st.booleans()))
    if data.startswith(b"PK") and draw(st.integers(0, 3)):
        return zipped(draw, data)
    return damaged(draw, data)


def zipped(draw: st.DrawFn, data: bytes) -> bytes:
    """A whole archive of damaged members: else zipfile refuses nearly all that is damaged."""
    buffer = io.BytesIO()
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]
    with (
        zipfile.ZipFile(io.BytesIO(data)) as archive,
        zipfile.ZipFile(buffer, "w", draw(st.sampled_from(kinds))) as made,
    ):
        for name in archive.namelist():
            made.writestr(name, damaged(draw, archive.read(name)))
    return buffer.getvalue()


def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes of which some are changed, added, removed or repeated."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        piece = draw(st.binary(max_size=4))
        match draw(st.integers(0, 3)):
            case 0:
                changed[at : at + len(piece)] = piece
            case 1:
                changed[at:at] = piece
            case 2:
                del changed[at : at + draw(st.integers(1, 40))]
            case _:
                changed[at:at] = changed[at : at + draw(st.integers(1, 40))]
    return bytes(changed)


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """A parser that takes longer is interrupted; warnings are errors."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"an input took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


PARSERS = parsers()
NAMES = list(PARSERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_raises_only_what_it_declares(name: str) -> None:
    valid, parse, declared = PARSERS[name]
    for data in valid:
        parse(data)
    tried, reasons = 0, list[str]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=RUNS,
        derandomize="TMESH_FUZZ" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(valid))
    def attempt(data: bytes) -> None:
        nonlocal tried
        tried += 1
        with limited():
            try:
                value = parse(data)
            except declared as error:
                reasons.append(str(error)[:200])
            else:
                # Two messages never mean the same, or a signature would hold for both.
                assert name not in ENCODERS or ENCODERS[name](value) == data

    attempt()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(f"{name}: {tried:,} inputs, {len(reasons):,} refused, {grown / 1e6:.0f} MB more")
    assert grown < MEMORY
    assert not any("\n" in reason for reason in reasons)
    assert reasons or name in ("frames", "voter", "agent")  # which drop what they cannot use


#: Small inputs that claim much, or that nest deep.
BOMBS = {
    "an array of 2⁶³": b"\x9b\x7f" + 7 * b"\xff",
    "bytes of 2⁶³": b"\x5b\x7f" + 7 * b"\xff",
    "a map of 2⁶³": b"\xbb\x7f" + 7 * b"\xff",
    "arrays in arrays": 60_000 * b"\x81" + b"\x00",
    "an endless array": b"\x9f" + 60_000 * b"\x00" + b"\xff",
    "a number of 2⁵⁰⁰⁰⁰⁰ in bytes": b"\xc2\x59\xff\xff" + 0xFFFF * b"\xff",
    "a power of two": b"\xc5\x82\x1b\x00\x00\x00\x7f\xff\xff\xff\xff\x01",
    "a fraction by zero": b"\xd8\x1e\x82\x01\x00",
    "itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a pattern": b"\xd8\x23\x6a((a+)+)+$b(",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_small_input_does_not_become_a_large_one(name: str, bomb: bytes) -> None:
    _, parse, declared = PARSERS[name]
    tracemalloc.start()
    try:
        with limited(), contextlib.suppress(declared, FileError):
            parse(bomb)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
