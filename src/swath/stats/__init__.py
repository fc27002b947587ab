"""Statistics that merge: counts first, formulas last."""
