"""T-MESH: small density matrices on a verified core, and the swarm consensus on top."""

from tmesh.config import CoreConfig
from tmesh.devices import Device, DeviceInfo, open_device
from tmesh.states import bloch, density

__all__ = ["CoreConfig", "Device", "DeviceInfo", "bloch", "density", "open_device"]
