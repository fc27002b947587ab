"""Own kinds of commands: NDVI of each scene, then how green all of them are together.

What is declared here gets splits, skipping, resume and every runner like what comes with Swath: a
new image costs one NDVI and the summary, another threshold the summary alone.

    swath run local examples/custom_commands/experiment.py -a root_uri out/ndvi --splits 2
"""

import json
from pathlib import Path

import swath

OLINDA = Path(__file__).parents[1] / "olinda" / "L7_ETMs.tif"


@swath.command(outputs={"ndvi": "ndvi.tif"})
def ndvi(work: swath.Work) -> None:
    """Write the normalised difference of near infrared and red of one scene."""
    import numpy as np
    import rasterio

    with rasterio.open(work.input("image")) as image:
        red, infrared = image.read(work.params["bands"]).astype("float32")
        profile = image.profile | {"count": 1, "dtype": "float32", "nodata": np.nan}
    total = infrared + red
    index = np.divide(infrared - red, total, out=np.full_like(total, np.nan), where=total > 0)
    with rasterio.open(work.output("ndvi"), "w", **profile) as result:
        result.write(index, 1)


@swath.command(outputs={"summary": "greenness.json"})
def greenness(work: swath.Work) -> None:
    """Write the mean NDVI of all scenes together, and the share of their pixels that is green."""
    import numpy as np
    import rasterio

    n_valid, n_green, total = 0, 0, 0.0
    for path in work.inputs("ndvi"):
        with rasterio.open(path) as scene:
            index = scene.read(1)
        valid = index[np.isfinite(index)].astype("float64")
        n_valid += valid.size
        n_green += int((valid > work.params["threshold"]).sum())
        total += float(valid.sum())
    summary = {"mean_ndvi": total / n_valid, "green_share": n_green / n_valid}
    work.output("summary").write_text(json.dumps(summary))


def get_config(
    runner: str, root_uri: str, images: tuple[Path, ...] = (OLINDA,), threshold: float = 0.3
) -> swath.Pipeline:
    """Declare one NDVI per image, and one summary of all; bands are 1-based, as in the file."""
    scenes = {path.stem: {"image": path} for path in images}
    each = ndvi.each(root_uri, scenes, bands=[3, 4])
    total = greenness.once(root_uri, {"ndvi": each.refs("ndvi")}, threshold=threshold)
    return swath.Pipeline(
        id="greenness",
        root=root_uri,
        commands=(each, total),
        results={"greenness.json": total.ref("all", "summary")},
    )
