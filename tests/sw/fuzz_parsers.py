"""Arbitrary bytes for every parser of messages and journals.

Each input is a good message with a few bytes changed, cut, doubled or inserted, or nested CBOR at
random. A parser may refuse it with an `InvalidInput`. If not, the value that it gives must encode
to the same bytes. `python tests/sw/fuzz_parsers.py [COUNT]` tries COUNT inputs, 1,000,000 by
default, and prints how many of them each parser read, and the longest time of one.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
from tmesh.errors import InvalidInput
from tmesh.finality import Act, Certificate, Decision, Signed, Summary, Vote, pack, unpack
from tmesh.ledger import Equivocation, Event, Journal, KeySet, Kind, Ledger, Reconciler, Reference

KEYS, SIGNERS = KeySet.simulated(4, 0)
DECISION = Decision.of_all(b"slot 1", 4)

#: A good message, its decoder, and the encoder of the decoded value; None if the bytes may differ.
Parser = tuple[bytes, Callable[[bytes], Any], Callable[[Any], bytes] | None]


def parsers(folder: Path) -> dict[str, Parser]:
    """All of them."""
    lock, cited = Vote(Act.ATTEST, 2, 1), (Reference(1, 0, b"a" * 32), Reference(3, 2, b"b" * 32))
    first = Event(0, 0, Kind.MEETING, bytes(32), b"", cited, b"x").signed(SIGNERS[0])
    second = Event(0, 0, Kind.STATEMENT, bytes(32), b"", (), b"y").signed(SIGNERS[0])
    made = {agent: DECISION.sign(SIGNERS[agent], lock) for agent in range(3)}
    votes = [Signed(agent, lock, signature) for agent, signature in made.items()]
    one = Reconciler([bytes([number]) * 32 for number in range(40)])
    message = one.answer(Reconciler([]).open())[0]
    assert message is not None
    path = folder / "events"
    with Journal(path) as journal:
        Ledger(KEYS, journal=journal).next(SIGNERS[0], Kind.STATEMENT, bytes(32))
    log = path.read_bytes()

    def opened(data: bytes) -> None:
        path.write_bytes(data)
        with Journal(path) as journal:
            Ledger(KEYS, journal=journal)

    return {
        "event": (first.witnessed(SIGNERS[1]).encoded, Event.decode, lambda one: one.encoded),
        "proof": (
            Equivocation(first, second).encoded,
            Equivocation.decode,
            lambda one: one.encoded,
        ),
        "votes": (pack(votes), unpack, pack),
        "summary": (Summary(((lock, 7),)).encoded, Summary.decode, lambda one: one.encoded),
        "certificate": (
            Certificate.of(DECISION, lock, made).encoded,
            Certificate.decode,
            lambda one: one.encoded,
        ),
        "reconciliation": (message, one.answer, None),
        "journal": (log, opened, None),
    }


def junk(rng: random.Random, depth: int = 3) -> Any:
    """A value of CBOR."""
    match rng.randrange(9 if depth else 6):
        case 0:
            return rng.choice([None, True, False, 0.0, float("nan"), float("inf"), "1", b""])
        case 1 | 2:
            return rng.choice([-1, 1]) * rng.getrandbits(rng.choice([1, 3, 8, 33, 70]))
        case 3 | 4:
            return rng.randbytes(rng.choice([0, 1, 32, 33, 64]))
        case 5:
            return "tmesh event 1"
        case 6:
            return cbor2.CBORTag(rng.randrange(300), junk(rng, depth - 1))
        case _:
            return [junk(rng, depth - 1) for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 9]))]


def changed(rng: random.Random, good: bytes) -> bytes:
    """Another message."""
    if rng.random() < 0.1:
        return cbor2.dumps(junk(rng))
    some = bytearray(good)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        place = rng.randrange(len(some) + 1)
        match rng.randrange(5):
            case 0:
                some[place : place + 1] = bytes(
                    [rng.choice([0, 1, 0x80, 0xFF, rng.randrange(256)])]
                )
            case 1:
                some[place : place + rng.randrange(40)] = b""
            case 2:
                some[place:place] = rng.randbytes(rng.randrange(4))
            case 3:
                some[place:place] = some[place : place + rng.randrange(80)]
            case _:
                some[place : place + 1] = cbor2.dumps(junk(rng, 1))
    return bytes(some)


def main(count: int) -> int:
    """Try the parsers in turn; the journal, which takes a file, a hundred times less often."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, (good, decode, encode) in parsers(Path(folder)).items():
            inputs, read, longest = count // 6 if name != "journal" else count // 600, 0, 0.0
            for _ in range(inputs):
                data = changed(rng, good)
                started = time.process_time()
                try:
                    value = decode(data)
                    read += 1
                except InvalidInput:
                    value = None
                longest = max(longest, time.process_time() - started)
                assert value is None or encode is None or encode(value) == data, data.hex()
            print(f"{name}: {inputs:,} inputs, {read:,} read, at most {1000 * longest:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
