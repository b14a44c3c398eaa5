"""The complete board, simulated, behind a pseudo-terminal: as a user drives one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
import tmesh
from tmesh.cli import app, main
from tmesh.devices.link import SerialDevice
from tmesh.errors import EngineError
from tmesh.frames import Kind
from tmesh.link import Decoder, Frame, encode
from tmesh_sim import faults
from tmesh_sim.board import SimulatedBoard
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def board() -> Iterator[SimulatedBoard]:
    with SimulatedBoard() as simulated:
        yield simulated


@pytest.fixture
def device(board: SimulatedBoard) -> Iterator[SerialDevice]:
    with tmesh.open_device(f"serial:{board.path}", "board") as opened:
        assert isinstance(opened, SerialDevice)
        yield opened


def directions(
    rng: np.random.Generator, count: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    r = rng.normal(size=(count, 3))
    return np.asarray(r / np.linalg.norm(r, axis=1, keepdims=True))


def test_resident_states_are_those_of_the_model(
    device: SerialDevice, board: SimulatedBoard
) -> None:
    rng = np.random.default_rng(1)
    r = directions(rng, 60)
    pairs = rng.permuted(np.tile(np.arange(60), (200, 1)), axis=1)[:, :2]
    members = np.concatenate([pairs[:30], pairs[30:60]], axis=1)
    swap = np.eye(4)[[0, 2, 1, 3]]
    half = (np.eye(4) - 1j * swap) / np.sqrt(2)
    with tmesh.open_device("model", "board") as model:
        for call in (
            lambda d: d.load(r),
            lambda d: d.gossip(pairs, half, write="both"),
            lambda d: d.gossip(pairs[:20], np.diag([1, 0.5, 0.5, 1])),
            lambda d: d.swap_test(pairs[:20]),
            lambda d: d.update(members[:, 0], members[:, 1:], 4),
            lambda d: d.joint(pairs[:3], half),
            lambda d: list(vars(d.observe(np.arange(60))).values()),
            lambda d: d.read(),
        ):
            found, wanted = call(device), call(model)
            if wanted is not None:
                for x, y in zip(found, wanted, strict=True):
                    np.testing.assert_array_equal(x, y)
    assert device.info.device == f"serial:{board.path}"
    assert device.info.digest == board.digest
    assert device.cycles > 0


def test_a_swarm_ends_with_the_states_of_the_model(device: SerialDevice) -> None:
    scenario = tmesh.Scenario(agents=6, topology={"kind": "complete"})
    with tmesh.open_device("model", "board") as model:
        on_board, on_model = (tmesh.run(scenario, chosen) for chosen in (device, model))
    np.testing.assert_array_equal(on_board.opinions, on_model.opinions)
    assert on_board.outcomes.tolist() == on_model.outcomes.tolist()


def test_a_bad_line_changes_no_result() -> None:
    """Bits, bytes and deliveries spoiled at 10⁻³, on the line itself; the states stay on the board,
    so a command that is lost or comes twice shows. `python -m tmesh_sim.faults --engine` does more.
    """
    with contextlib.closing(SimulatedBoard()) as simulated:
        carried = faults.compute(simulated.core, payload=3_000, rate=1e-3, seed=3)
    assert carried.faults > 10
    assert carried.wrong == 0


def test_any_serial_program_can_talk_to_it(board: SimulatedBoard) -> None:
    """Noise, a RESET, and half a packet; then it is gone. The next one finds a whole board."""
    nothing = np.empty((0, 2), np.uint32), np.empty(0, np.bool_)
    reset = Frame(Kind.RESET, 77, 0, 0, 1000, *nothing, link=64)
    identify = np.array([[1 | 1 << 8 | 5 << 16, 0]], np.uint32)
    with serial.Serial(board.path, timeout=5) as port:
        port.write(b"AT\r\n\0" + encode(reset))
        decoder = Decoder(64)
        kinds: list[Kind] = []
        while Kind.RESET not in kinds:  # before it: what a board says after power-up, and of noise
            (said,) = decoder.feed(port.read_until(b"\0"))
            assert said is not None
            kinds.append(said.kind)
        assert Kind.AGAIN in kinds
        assert (said.session, said.acknowledged) == (77, 0)
        port.write(encode(Frame(Kind.DATA, 77, 0, 0, 1000, identify, np.array([True]), link=64)))
        words = np.empty((0, 2), np.uint32)
        while len(words) < 3:
            (frame,) = decoder.feed(port.read_until(b"\0"))
            assert frame is not None
            words = np.concatenate([words, frame.words])
        assert words[0].tolist() == [5 << 16, 0]  # OK, the tag
        assert words[1:].reshape(-1).tolist() == [1, board.config.f, 1, 64]
        half = np.array([[0x30 | 1 << 8, 0], [9, 9]], np.uint32)  # a MATRIX that never ends
        port.write(encode(Frame(Kind.DATA, 77, 1, 3, 1000, half, np.zeros(2, np.bool_), link=64)))
    with tmesh.open_device(f"serial:{board.path}", "board") as device:
        np.testing.assert_allclose(device.purify(np.eye(2) / 2, 2), np.eye(2) / 2)


def test_unplugged_in_the_middle(tmp_path: Path) -> None:
    """An error on one line; then another board, and all is as new."""
    port, r = tmp_path / "port", directions(np.random.default_rng(2), 100)
    first = SimulatedBoard()
    port.symlink_to(first.path)
    with contextlib.ExitStack() as plugged:
        plugged.enter_context(first)
        device = tmesh.open_device(f"serial:{port}", "board")
        device.load(r)
        unplug = threading.Timer(0.2, plugged.close)
        unplug.start()
        members = np.tile(np.arange(100), 200)
        with pytest.raises(tmesh.LinkError, match=r"^serial:.*port: .+$") as caught:
            device.update(members, np.roll(members, 1)[:, None])
        assert "\n" not in str(caught.value)
        unplug.join()
    with pytest.raises(tmesh.LinkError, match="not connected"):
        device.read()
    assert isinstance(device, SerialDevice)
    with pytest.raises(tmesh.LinkError, match="port"):
        device.reconnect()
    port.unlink()
    with SimulatedBoard() as second:
        port.symlink_to(second.path)
        device.reconnect()
        assert device.read().shape == (0, 3)
        device.load(r)
        np.testing.assert_allclose(device.read(), r, atol=2**-16)
        device.close()


def test_another_board_is_said(board: SimulatedBoard) -> None:
    for config, reason in (
        ("default", r"the engine is \(1, 16, 1, 64, 128, 4\), not \(1, 16, 1, 64, 4096, 16\)"),
        ("three-lanes", "words of the board have 64 bits, not 128"),
    ):
        with pytest.raises((EngineError, tmesh.LinkError), match=reason):
            tmesh.open_device(f"serial:{board.path}", config)
    with pytest.raises(tmesh.NotSupported, match="a board has an engine"):
        tmesh.open_device(f"serial:{board.path}", "narrow")


CYCLES = ("cycles", "cycles_of_updates", "cycles_of_audits")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tmesh board`, and a swarm on it that ends as on the model."""
    path, scenario = tmp_path / "board.json", tmp_path / "swarm.toml"
    scenario.write_text('agents = 6\nconfig = "board"\ntopology = {kind = "complete"}\n')
    command = [str(Path(sys.executable).with_name("tmesh")), "board", "--json", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        device = process.stdout.readline().strip()
        try:
            results = []
            for chosen in (device, "model"):
                out = tmp_path / "run.json"
                arguments = ["run", str(scenario), "--device", chosen, "--json", str(out)]
                shown = CliRunner().invoke(app, arguments)
                assert shown.exit_code == 0, shown.output
                results.append(json.loads(out.read_text()))
        finally:
            # While it is open, no other pseudo-terminal gets its name.
            port = os.open(device.removeprefix("serial:"), os.O_RDWR | os.O_NOCTTY)
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    on_board, on_model = results
    assert json.loads(path.read_text())["device"] == device == on_board.pop("device")
    cycles = [on_board.pop(key) for key in CYCLES]
    assert min(cycles) > 0
    for key in ("device", *CYCLES):
        on_model.pop(key)
    assert on_board == on_model
    assert main(["run", "--device", device, "--config", "board"]) == 2
    os.close(port)
    said = capsys.readouterr().err
    assert said.startswith(f"tmesh: {device}: could not open port")
    assert said.count("\n") == 1
