"""A config that segments one image into small tiles."""

import swath


def get_config(
    runner: str, root_uri: str, image: str, tile_size: int = 64, min_size: int = 50
) -> swath.Segmentation:
    """Declare the segmentation ``segments``."""
    return swath.Segmentation(
        id="segments",
        root_uri=root_uri,
        image=image,
        options=swath.SegmentOptions(min_size=min_size),
        tile_size=tile_size,
    )
