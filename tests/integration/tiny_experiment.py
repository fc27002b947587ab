"""A config as a user writes it, with everything small: 64 x 64 pixels, chips of 32, one epoch."""

from pathlib import Path

import swath

CLASSES = swath.ClassConfig(names=("dark", "bright"))


def get_configs(
    runner: str,
    data: Path,
    root_uri: str,
    train: tuple[str, ...] = ("a", "b"),
    test: tuple[str, ...] = (),
    epochs: int = 1,
    learning_rates: tuple[float, ...] = (1e-3,),
    block_size: int = 2048,
) -> list[swath.Experiment]:
    """Declare one experiment for each learning rate."""

    def scene(name: str) -> swath.Scene:
        return swath.Scene(id=name, image=data / f"{name}.tif", labels=data / f"{name}-labels.tif")

    return [
        swath.Experiment(
            id=f"tiny-{rate:g}",
            root_uri=root_uri,
            task=swath.SemanticSegmentation(
                classes=CLASSES,
                model=swath.SegmentationModel(encoder="resnet18"),
                chips=swath.ChipSampling(size=32),
                train=swath.TrainOptions(epochs=epochs, batch_size=4, learning_rate=rate),
                predict=swath.PredictOptions(window=32, stride=16, block_size=block_size),
            ),
            train_scenes=tuple(scene(name) for name in train),
            validation_scenes=(scene("v"),),
            test_scenes=tuple(scene(name) for name in test),
        )
        for rate in learning_rates
    ]
