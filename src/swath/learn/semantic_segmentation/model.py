"""Build the network of a declaration, for any number of bands.

One idea: a network is rebuilt from its description alone, then filled with weights from
safetensors; nothing is unpickled, and a trained model never downloads anything.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from swath.errors import ConfigError
from swath.learn.spec import SegmentationModel
from swath.optional import require

if TYPE_CHECKING:
    from types import ModuleType


def build_model(spec: SegmentationModel, n_bands: int, n_classes: int, seed: int = 0) -> nn.Module:
    """Build the network with first weights drawn from `seed`, or published ones for the encoder.

    Parameters
    ----------
    spec
        Architecture, encoder and first weights; weights from a file are loaded by the caller.
    n_bands
        Bands of the images. Published weights of three bands are spread over them.
    n_classes
        Classes, the channels of the output.
    seed
        Seed of the random weights.

    Raises
    ------
    ConfigError
        If the encoder or its weights are not known.
    """
    smp = require(
        "segmentation_models_pytorch", extra="learn", purpose="to build segmentation models"
    )
    _check_encoder(smp, spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = smp.create_model(
            spec.architecture,
            encoder_name=spec.encoder,
            encoder_weights=None if spec.weights_uri else spec.weights,
            in_channels=n_bands,
            classes=n_classes,
        )
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a network with weights of the same shapes.

    Raises
    ------
    ConfigError
        If the file holds other weights than the network has.
    """
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise ConfigError(
            f"the weights do not fit the model: {lines[-1].strip()}",
            where=str(path),
            mend="Use weights that were trained with this architecture, encoder, number of bands "
            "and number of classes.",
        ) from None


def _check_encoder(smp: ModuleType, spec: SegmentationModel) -> None:
    if spec.encoder.startswith("tu-"):
        return  # timm's own names, checked by timm
    known = smp.encoders.get_encoder_names()
    if spec.encoder not in known:
        close = difflib.get_close_matches(spec.encoder, known, n=3)
        raise ConfigError(
            f"{spec.encoder!r} is no encoder of segmentation-models-pytorch.",
            where="model.encoder",
            mend=f"Did you mean {' or '.join(close)}?"
            if close
            else f"Use one of {', '.join(known)}.",
        )
