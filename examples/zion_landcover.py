"""Land cover of Zion, Utah, from Landsat 8: two experiments that differ in learning rate only.

The image is of 2015 (bands 2 to 5), the labels are groups of the National Land Cover Database of
2011. Training and validation take different blocks of the image, kept apart by a margin, so that
scores tell how the model does on ground that it has never seen. What the two experiments share,
analysis and chips, is planned and run once.

    swath run local examples/zion_landcover.py -a data DATA -a root_uri OUT --splits 2

DATA is a folder with `zion_landsat8/landsat8_b2345.tif` and `zion_landsat8/nlcd_8_groups.tif`.
"""

from pathlib import Path

import swath

NAMES = (
    "water",
    "developed",
    "barren",
    "forest",
    "shrubland",
    "herbaceous",
    "cultivated",
    "wetlands",
)
COLOURS = (
    "#466b9f",
    "#ab0000",
    "#b3ac9f",
    "#1c5f2c",
    "#ccb879",
    "#dfdfc2",
    "#dcd939",
    "#6c9fb8",
)
ROWS, COLS = 6, 6


def get_configs(
    runner: str,
    data: Path,
    root_uri: str,
    epochs: int = 12,
    learning_rates: tuple[float, ...] = (1e-3, 3e-4),
    window: int = 96,
) -> list[swath.Experiment]:
    """Declare one experiment for each learning rate."""
    folder = data / "zion_landsat8"
    labels = swath.RasterLabels(
        raster=folder / "nlcd_8_groups.tif",
        mapping=dict(enumerate(NAMES, start=1)),
    )
    training, validation = swath.block_split(ROWS, COLS, fraction=0.25, seed=4)

    def scene(name: str, blocks: tuple[tuple[int, int], ...]) -> swath.Scene:
        area = swath.BlockArea(rows=ROWS, cols=COLS, take=blocks, buffer_px=4)
        image = folder / "landsat8_b2345.tif"
        return swath.Scene(id=name, image=image, labels=labels, area=area)

    task = swath.SemanticSegmentation(
        classes=swath.ClassConfig(names=NAMES, colours=COLOURS),
        model=swath.SegmentationModel(architecture="unet", encoder="resnet18"),
        chips=swath.ChipSampling(size=window, stride=window // 3),
        train=swath.TrainOptions(epochs=epochs, batch_size=16, loss="ce_dice"),
        predict=swath.PredictOptions(window=window, stride=window // 2),
    )
    return [
        swath.Experiment(
            id=f"zion-lr{rate:g}",
            root_uri=root_uri,
            task=task.replace(train=task.train.replace(learning_rate=rate)),
            train_scenes=(scene("train", training),),
            validation_scenes=(scene("validation", validation),),
            preview_bands=(2, 1, 0),  # red, green, blue are bands 4, 3, 2 of the sensor
        )
        for rate in learning_rates
    ]
