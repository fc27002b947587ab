"""Bring pixel values to mean 0 and standard deviation 1, the same way everywhere.

Training, prediction, the golden chip and the ONNX model all see what `Normalisation.apply` returns.
One idea: invalid pixels become 0, which is the mean of every band, so that no nodata value, NaN or
infinity reaches a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation of each band, in the units of the image.

    A band whose standard deviation is 0, for example an all-zero one, is only shifted.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> Normalisation:
        """Build from statistics, where bands without spread or without values are made harmless."""
        finite_mean = tuple(float(m) if np.isfinite(m) else 0.0 for m in mean)
        usable_std = tuple(float(s) if np.isfinite(s) and s > 0 else 1.0 for s in std)
        return cls(finite_mean, usable_std)

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return len(self.mean)

    def apply(
        self, values: NDArray[np.generic], valid: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Return float32 values ready for a model.

        Parameters
        ----------
        values
            ``(..., band, y, x)``, any real dtype, in the units of the image.
        valid
            ``(..., y, x)`` bool; None: every pixel is valid.

        Returns
        -------
        ndarray
            ``(..., band, y, x)`` float32, C order; 0 where a pixel is invalid or not finite.
        """
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        scale = (1.0 / np.asarray(self.std, np.float64)).astype(np.float32)[:, None, None]
        with np.errstate(invalid="ignore", over="ignore"):
            result = np.subtract(values, mean, dtype=np.float32, casting="unsafe")
            result *= scale
        if valid is not None and not valid.all():
            np.copyto(result, 0, where=~valid[..., None, :, :])
        if np.issubdtype(values.dtype, np.floating):
            np.copyto(result, 0, where=~np.isfinite(result))
        return np.ascontiguousarray(result)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Normalisation:
        """Build from what `to_json` returned."""
        return cls(tuple(data["mean"]), tuple(data["std"]))
