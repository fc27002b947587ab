"""Comparing maps with the truth: counts first, scores last."""
