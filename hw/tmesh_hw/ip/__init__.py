"""The engine for other people's systems: a vendor-neutral Verilog top with AXI ports."""

from .registers import REGISTERS, AxiLiteRegisters
from .top import IpTop, Port, ports

__all__ = ["REGISTERS", "AxiLiteRegisters", "IpTop", "Port", "ports"]
