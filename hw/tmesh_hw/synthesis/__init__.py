"""What blocks and cores cost on a device: cells after synthesis."""
