"""The packet format: what the documentation says, and what the engine answers to bad packets."""

from pathlib import Path

from tmesh import packets
from tmesh.golden.engine import EngineModel
from tmesh.packets import Command, Status
from tmesh_sim.engine_packets import engine_config, packet

DOCS = Path(__file__).parents[2] / "docs" / "engine.md"


def test_documented_tables_are_those_of_the_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for table in packets.tables():
        assert table in text, f"docs/engine.md does not have\n{table}"


def test_slots_fit_a_bundle() -> None:
    assert sum(packets.SLOT.values()) <= packets.SLOT_STRIDE
    for lanes in (1, 2, 3):
        assert lanes * packets.SLOT_STRIDE <= packets.bundle_bits(lanes)


def test_a_bad_command_is_refused_and_changes_nothing() -> None:
    """One of each kind, on the model; the benches hold the engine to the model's replies."""
    config = engine_config(16, 1)
    model = EngineModel(config)
    model.execute(packet(config, Command.WRITE_STATE, 2, [1, 2, 3, 0]))
    before = model.states.copy()
    for status, words in (
        (Status.UNKNOWN_COMMAND, packet(config, 0x55, 0)),
        (Status.BAD_VERSION, packet(config, Command.RESET, 0, version=0)),
        (Status.BAD_LENGTH, packet(config, Command.WRITE_STATE, 2, [9, 9])),
        (Status.BAD_LENGTH, packet(config, Command.WRITE_STATE, 2, [9] * 6)),
        (Status.BAD_LENGTH, packet(config, Command.READ_STATE, 2, [9, 9])),
        (Status.BAD_ADDRESS, packet(config, Command.WRITE_STATE, config.rows, [9, 9, 9, 0])),
        (Status.BAD_ADDRESS, packet(config, Command.GOSSIP, config.operators, [0, 0])),
        (Status.BAD_VALUE, packet(config, Command.WRITE_STATE, 2, [1 << 17, 0, 0, 0])),
    ):
        words[0, 0] |= 7 << 16
        reply = model.execute(words).reshape(-1)[:6].view(packets.REPLY)[0]
        assert (reply["status"], reply["tag"]) == (status, 7)
        assert (model.states == before).all()
