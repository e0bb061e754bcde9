"""The other side of the wire: simulated devices, faults, and a DSO that keeps book."""
