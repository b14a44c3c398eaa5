"""Devices: the same calls on float64, on the integer model, and on the core itself."""

from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path

from tmesh.config import CoreConfig
from tmesh.devices.interface import Device, DeviceInfo
from tmesh.devices.link import SerialDevice
from tmesh.devices.model import ModelDevice
from tmesh.devices.netlist import NetlistDevice
from tmesh.devices.reference import ReferenceDevice
from tmesh.devices.verilator import VerilatorDevice
from tmesh.errors import InvalidInput, LinkError, NotSupported

__all__ = [
    "DEVICES",
    "Device",
    "DeviceInfo",
    "LinkError",
    "NotSupported",
    "device_name",
    "open_device",
]

#: By name; there is ``serial:PATH``, too.
DEVICES: dict[str, Callable[[str | CoreConfig], Device]] = {
    "reference": ReferenceDevice,
    "model": ModelDevice,
    "verilator": VerilatorDevice,
    "netlist": NetlistDevice,
    "netlist:ice40": partial(NetlistDevice, family="ice40"),
}


def device_name(name: str) -> str:
    """`name`, if `open_device` knows it. Raises ``ValueError`` with those it knows."""
    if not isinstance(name, str):
        raise InvalidInput(f"device must be a name, not {type(name).__name__}")
    kind, _, path = name.partition(":")
    if name not in DEVICES and not (kind == "serial" and path):
        raise InvalidInput(f"device must be one of {', '.join(DEVICES)}, serial:PATH, not {name!r}")
    return name


def open_device(
    name: str, config: str | CoreConfig = "default", *, trace: str | Path | None = None
) -> Device:
    """A device by name (``reference``, ``model``, ``verilator``, ``netlist`` in cells of ECP5,
    ``netlist:ice40``, or ``serial:PATH``: a board at a serial port), a context manager.

    `trace` names a waveform file to write, .vcd or .fst; only ``verilator`` has one. Raises
    ``ValueError`` for an unknown device or configuration, and for a trace that is no
    path or on a device without waveforms. Raises `LinkError` if no board answers.
    """
    if not isinstance(trace, str | PathLike | None):
        raise InvalidInput(f"trace must be a path, not {trace!r}")
    if device_name(name) != "verilator" and trace is not None:
        raise InvalidInput(f"trace: device {name} has no waveform")
    if trace is not None:
        return VerilatorDevice(config, Path(trace))
    if name in DEVICES:
        return DEVICES[name](config)
    return SerialDevice(name.partition(":")[2], config)
