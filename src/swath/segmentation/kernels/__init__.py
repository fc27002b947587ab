"""Compiled inner loops of segmentation: small pure functions on plain arrays."""
