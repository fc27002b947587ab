"""Build the network of a declaration, for any number of bands.

One idea: a network is rebuilt from its description alone, then filled with weights from
safetensors; nothing is unpickled, and a trained model never downloads anything.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from swath.errors import ConfigError
from swath.learn.semantic_segmentation.model_check import OF_TIMM, check_names
from swath.learn.spec import SegmentationModel
from swath.optional import require


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
    check_names(spec)
    named = spec.weights if spec.weights_uri is None else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = smp.create_model(
            spec.architecture,
            encoder_name=spec.encoder,
            # True is what smp takes for timm: the tag in the encoder's name says which weights
            encoder_weights=True if named and spec.encoder.startswith(OF_TIMM) else named,
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
