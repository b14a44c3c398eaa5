"""T-MESH: small density matrices on a verified core, and the swarm consensus on top."""

from tmesh.config import CoreConfig
from tmesh.devices import Device, DeviceInfo, LinkError, NotSupported, open_device
from tmesh.states import bloch, density
from tmesh.swarm import Result, Scenario, run

__all__ = [
    "CoreConfig",
    "Device",
    "DeviceInfo",
    "LinkError",
    "NotSupported",
    "Result",
    "Scenario",
    "bloch",
    "density",
    "open_device",
    "run",
]
