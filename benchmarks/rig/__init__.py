"""What stands around the daemon while it is measured: a broker, devices, a DSO, and the bare script to compare with."""
