"""Vector features: declared here, read by `swath.vector.reader`."""

from swath.vector.spec import VectorFile

__all__ = ["VectorFile"]
