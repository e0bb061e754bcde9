"""The gateway between a distribution system operator and the devices of one site."""

__version__ = "0.1.0"
