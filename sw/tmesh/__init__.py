"""T-MESH: small density matrices on a verified core, and the swarm consensus on top."""
