"""cocotb benches on Verilator: the exported Verilog of every block against the integer model."""
