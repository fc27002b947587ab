"""Check the declaration of a network before work starts: its encoder, and where its weights lie.

Not for building it (`model`). One idea: the libraries that know the names take seconds to import,
so names that everyone uses are taken as known, and only others are looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from swath.errors import ConfigError, NotFoundError, StoreError
from swath.learn.spec import SegmentationModel
from swath.optional import require
from swath.store import normalise, open_store

if TYPE_CHECKING:
    from types import ModuleType

OF_TIMM = "tu-"
"""Beginning of the names of timm's encoders."""

TIMM_WEIGHTS = "imagenet"
"""Name of the weights of any encoder of timm; which ones, the encoder's own name says."""


def check_model(spec: SegmentationModel) -> None:
    """Raise unless the network can be built and its first weights are there or published.

    Raises
    ------
    ConfigError
        If the encoder or its weights are not known, or a file of weights is not there.
    MissingExtraError
        If a name must be looked up and segmentation-models-pytorch is not installed.

    Notes
    -----
    Takes no time for `swath.learn.spec.WELL_KNOWN`, else seconds for the import.
    """
    if spec.weights_uri is not None:
        _check_file(spec.weights_uri)
    if not spec.is_well_known:
        check_names(spec)


def check_names(spec: SegmentationModel) -> None:
    """Look encoder and published weights up in the libraries that have them.

    Raises
    ------
    ConfigError
        If one of them is not known.
    """
    smp = require(
        "segmentation_models_pytorch", extra="learn", purpose="to build segmentation models"
    )
    named = spec.weights if spec.weights_uri is None else None
    if spec.encoder.startswith(OF_TIMM):
        _check_timm(spec.encoder.removeprefix(OF_TIMM), named)
    else:
        _check_smp(smp, spec.encoder, named)


def _check_file(uri: str) -> None:
    uri = normalise(uri)
    try:
        open_store(uri).stat(uri)
    except NotFoundError:
        raise ConfigError(
            f"{uri!r} does not exist.", where="model.weights", mend="Correct the path or URI."
        ) from None
    except StoreError as error:
        raise ConfigError(error.what, where="model.weights", mend=error.mend) from None


def _check_smp(smp: ModuleType, encoder: str, weights: str | None) -> None:
    known = smp.encoders.get_encoder_names()
    if encoder not in known:
        raise ConfigError(
            f"{encoder!r} is no encoder of segmentation-models-pytorch.",
            where="model.encoder",
            mend=_near(encoder, known),
        )
    published = list(smp.encoders.encoders[encoder]["pretrained_settings"])
    if weights is not None and weights not in published:
        raise _unknown_weights(weights, encoder, published)


def _check_timm(name: str, weights: str | None) -> None:
    timm = require("timm", extra="learn", purpose="to build its encoders")
    if not timm.is_model(name):
        known = [OF_TIMM + each for each in timm.list_models()]
        raise ConfigError(
            f"{OF_TIMM + name!r} is no encoder of timm.",
            where="model.encoder",
            mend=_near(OF_TIMM + name, known),
        )
    tagged = timm.list_pretrained(name.partition(".")[0])
    published = [TIMM_WEIGHTS] if tagged else []
    if weights is not None and weights not in published:
        raise _unknown_weights(weights, OF_TIMM + name, published)
    if weights is not None and "." in name and name not in tagged:
        raise ConfigError(
            f"timm has no weights {OF_TIMM + name!r}.",
            where="model.encoder",
            mend=_near(OF_TIMM + name, [OF_TIMM + each for each in tagged]),
        )


def _unknown_weights(weights: str, encoder: str, published: Sequence[str]) -> ConfigError:
    near = _near(weights, published) if published else "Use null, which is random."
    return ConfigError(
        f"there are no weights {weights!r} of the encoder {encoder!r}.",
        where="model.weights",
        mend=f"{near} A file of weights ends in .safetensors.",
    )


def _near(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=3)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    shown = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")
    return f"Use one of {shown}."
