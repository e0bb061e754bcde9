"""Modbus: registers of meters, inverters and storage, read and written by one master."""
