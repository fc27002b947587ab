"""What learning is declared with, whatever the task: model, training, prediction.

Not here: how labels are read (`swath.scene.spec`) and what belongs to one task only (its folder
beside this file). One idea: each field changes a result; what only changes speed (threads, device)
is an option of a command and is no part of these specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from swath.errors import ConfigError
from swath.spec import Spec

Architecture = Literal[
    "deeplabv3",
    "deeplabv3plus",
    "fpn",
    "linknet",
    "manet",
    "pan",
    "pspnet",
    "segformer",
    "unet",
    "unetplusplus",
    "upernet",
]
WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "resnet18": ("imagenet", "ssl", "swsl"),
    "resnet34": ("imagenet",),
    "resnet50": ("imagenet", "ssl", "swsl"),
    "resnet101": ("imagenet",),
    "efficientnet-b0": ("imagenet", "advprop"),
    "efficientnet-b4": ("imagenet", "advprop"),
    "mobilenet_v2": ("imagenet",),
    "mit_b0": ("imagenet",),
    "mit_b2": ("imagenet",),
}
"""Often used encoders to their published weights. They need no look into
segmentation-models-pytorch, which takes 7 s of processor time to import; any other encoder is
looked up there before work starts."""

Precision = Literal["float32", "bfloat16"]
Positive = Annotated[int, Field(ge=1)]


class SegmentationModel(Spec):
    """A segmentation network of segmentation-models-pytorch, for any number of bands."""

    kind: Literal["smp"] = "smp"
    """Library that the network comes from."""

    architecture: Architecture = "unet"
    """Decoder and how it joins the encoder, by its name in segmentation-models-pytorch."""

    encoder: str = "resnet18"
    """Backbone, by its name in segmentation-models-pytorch; ``tu-...`` takes one of timm."""

    weights: str | None = None
    """Where training starts: null is random; a name such as ``imagenet`` is a published encoder
    (downloaded when training starts); the path of a file of this machine that ends in
    ``.safetensors`` is a whole model that was trained before. Of an encoder of timm, ``imagenet``
    takes the weights that the tag in the encoder's name says, or timm's first choice."""

    @property
    def size_multiple(self) -> int:
        """Edges of chips and windows are multiples of this, in pixels."""
        return 32

    @property
    def smallest_size(self) -> int:
        """Smallest edge of chips and windows in pixels."""
        return 128 if self.architecture == "pan" else 32  # pan halves features seven times

    @property
    def weights_uri(self) -> str | None:
        """Path of the weights if they are a file, else None."""
        if self.weights is not None and self.weights.endswith(".safetensors"):
            return self.weights
        return None

    @property
    def is_well_known(self) -> bool:
        """Whether encoder and published weights are in `WELL_KNOWN`; False tells nothing."""
        published = WELL_KNOWN.get(self.encoder)
        named = self.weights is not None and self.weights_uri is None
        return published is not None and (not named or self.weights in published)

    def check_size(self, size: int, field: str) -> None:
        """Raise unless chips or windows of `size` pixels fit the network unchanged.

        Raises
        ------
        ConfigError
            If `size` is no multiple of `size_multiple`, or below `smallest_size`.
        """
        step, smallest = self.size_multiple, self.smallest_size
        if size % step or size < smallest:
            lower, upper = size // step * step, max(-(-size // step) * step, smallest)
            sizes = f"{upper}" if lower < smallest else f"{lower} or {upper}"
            raise ConfigError(
                f"{size} px does not fit the model {self.architecture}, which takes multiples of "
                f"{step} px from {smallest} px on; nothing is resized silently.",
                where=field,
                mend=f"Set {field} to {sizes}.",
            )


class Augmentation(Spec):
    """Random changes of training chips, drawn anew for every chip and epoch."""

    flips: bool = True
    """Mirror half of the chips left to right, and half of them top to bottom."""

    rotations: bool = True
    """Turn each chip by 0, 90, 180 or 270 degrees."""

    brightness: float = Field(default=0.0, ge=0.0, le=5.0)
    """Largest amount added to all bands of a chip, in standard deviations of a band."""


class TrainOptions(Spec):
    """How a model is trained."""

    epochs: Positive = 20
    """Passes over all training chips; fewer if training stops early."""

    batch_size: Positive = 8
    """Chips per step."""

    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Largest step size that the schedule reaches."""

    weight_decay: float = Field(default=1e-4, ge=0.0)
    """Decay of weights: decoupled for adamw, an L2 term for adam and sgd."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Optimiser; sgd has a Nesterov momentum of 0.9."""

    schedule: Literal["constant", "cosine", "one_cycle"] = "one_cycle"
    """Learning rate over the steps: constant; cosine from the full rate to 0; one_cycle rises from
    1/25 to the full rate over the first 30 % of the steps, then falls to 0."""

    loss: Literal["cross_entropy", "dice", "focal", "ce_dice"] = "cross_entropy"
    """What is minimised; focal has a gamma of 2, ce_dice is the sum of cross_entropy and dice."""

    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    """Weight of each class in the loss: null is 1 for all; ``balanced`` is n pixels / (n classes *
    n pixels of the class) over the training chips, at most 10; or one number per class."""

    augment: Augmentation = Augmentation()
    """Random changes of the training chips."""

    early_stopping_patience: Positive | None = None
    """Epochs without a better value of `monitor` after which training stops; null: never."""

    precision: Precision = "float32"
    """Arithmetic of the forward pass; weights stay float32."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of first weights, order of chips and augmentation."""

    monitor: Literal["mean_iou", "macro_f1", "overall_accuracy", "loss"] = "macro_f1"
    """Value on the validation chips by which the best epoch is chosen."""

    @model_validator(mode="after")
    def _check(self) -> TrainOptions:
        weights = self.class_weights
        if isinstance(weights, tuple) and (min(weights, default=0) < 0 or sum(weights) <= 0):
            raise ConfigError(
                f"{weights} are no weights of classes.",
                where="train.class_weights",
                mend="Give one number per class, none below 0 and not all 0.",
            )
        return self


class PredictOptions(Spec):
    """How a model is applied to a scene."""

    window: Positive | None = None
    """Edge of a window that the model sees, in pixels; null: the size of the chips."""

    stride: Positive | None = None
    """Distance of neighbouring windows, in pixels; null: half a window."""

    batch_size: Positive = 8
    """Windows per forward pass."""

    block_size: Positive = 2048
    """Edge of the blocks into which a scene is cut, in pixels: a block is one unit of work, and
    memory is bounded by it."""

    scores: bool = False
    """Also write the probability of each class, as uint8: probability * 255, rounded."""

    blend: Literal["smooth", "mean"] = "smooth"
    """Weight of a window's pixels where windows overlap: smooth falls linearly from the centre to
    the edge, mean is 1 everywhere."""

    precision: Precision = "float32"
    """Arithmetic of the forward pass."""

    @model_validator(mode="after")
    def _check(self) -> PredictOptions:
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ConfigError(
                f"a stride of {self.stride} px leaves gaps between windows of {self.window} px.",
                where="predict.stride",
                mend=f"Set predict.stride to at most {self.window}.",
            )
        return self
