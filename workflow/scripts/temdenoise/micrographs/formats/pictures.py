"""Plain pictures: PNG and JPEG."""

from pathlib import Path

import numpy as np

from temdenoise.micrographs import memory
from temdenoise.micrographs.formats.base import Content


def read_picture(path: Path) -> list[Content]:
    """Read a picture; its colours are the last axis."""
    from PIL import Image

    # Pillow's own limit warns of pictures a microscope may well take
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as picture:
        memory.require(picture.height, picture.width)
        converted: Image.Image = picture
        if picture.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
            converted = picture.convert("RGB")
        elif picture.mode == "1":
            converted = picture.convert("L")
        return [Content(np.asarray(converted), colours=True, picture=True)]
