"""Simulation: vectors, cocotb benches, and the Verilator library behind the `verilator` device."""
