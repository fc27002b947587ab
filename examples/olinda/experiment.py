r"""Land cover of Olinda, Brazil: a small experiment that runs in minutes on two cores.

The labels were derived from near- and short-wave-infrared bands (`make_labels.py`); the model sees
the three visible bands only, so it has to learn from colour and texture what the infrared tells
directly. Training and validation share the image but no ground: they take different blocks of it.

    swath run local examples/olinda/experiment.py -a root_uri out/demo --splits 2

Put `L7_ETMs.tif` and `labels.tif` on a store, and it runs anywhere:

    swath run batch examples/olinda/experiment.py -a raw_uri s3://BUCKET/olinda \
      -a root_uri s3://BUCKET/demo --splits 2
"""

from pathlib import Path

import swath

HERE = Path(__file__).parent
CLASSES = swath.ClassConfig(
    names=("water", "vegetation", "built or bare"),
    colours=("#2b7bba", "#33a02c", "#d9b38c"),
)


def get_config(
    runner: str,
    root_uri: str,
    raw_uri: str = str(HERE),
    epochs: int = 12,
    learning_rate: float = 1e-3,
) -> swath.Experiment:
    """Declare the experiment; `raw_uri` is the folder of image and labels."""
    image = swath.Raster(uris=f"{raw_uri}/L7_ETMs.tif", bands=(2, 1, 0))  # red, green, blue
    training, validation = swath.block_split(rows=5, cols=5, fraction=0.3, seed=1)

    def scene(name: str, blocks: tuple[tuple[int, int], ...]) -> swath.Scene:
        area = swath.BlockArea(rows=5, cols=5, take=blocks, buffer_px=2)
        return swath.Scene(id=name, image=image, labels=f"{raw_uri}/labels.tif", area=area)

    return swath.Experiment(
        id="olinda",
        root_uri=root_uri,
        task=swath.SemanticSegmentation(
            classes=CLASSES,
            model=swath.SegmentationModel(architecture="unet", encoder="resnet18"),
            chips=swath.ChipSampling(size=64, stride=16),
            train=swath.TrainOptions(epochs=epochs, batch_size=16, learning_rate=learning_rate),
            predict=swath.PredictOptions(window=64, stride=32),
        ),
        train_scenes=(scene("train", training),),
        validation_scenes=(scene("validation", validation),),
    )
