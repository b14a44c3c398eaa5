"""T-MESH: small density matrices on a verified core, and the swarm consensus on top."""

from tmesh.config import CoreConfig
from tmesh.devices import Device, DeviceInfo, open_device
from tmesh.errors import InvalidInput, LinkError, NotSupported, TMeshError
from tmesh.states import bloch, density
from tmesh.swarm import Result, Scenario, run

__all__ = [
    "CoreConfig",
    "Device",
    "DeviceInfo",
    "InvalidInput",
    "LinkError",
    "NotSupported",
    "Result",
    "Scenario",
    "TMeshError",
    "bloch",
    "density",
    "open_device",
    "run",
]
