"""Swath: from imagery to an evaluated map, on a laptop or a cluster."""

__version__ = "0.1.0"
