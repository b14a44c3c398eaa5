"""The T-MESH tensor accelerator in Amaranth: number types, blocks, engine."""
