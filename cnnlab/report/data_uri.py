"""Pictures as data URIs, so that pages need no other files."""

import base64
import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

_LOSSLESS_SIDE = 96
_LARGEST_SIDE = 256


def data_uri(pixels: np.ndarray) -> str:
    """Encodes a picture, uint8 [height, width, 3]: PNG if small, else JPEG of at most 256 pixels.

    Small pictures are enlarged by the page, pixel by pixel, and must not be blurred by JPEG.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    if max(image.size) <= _LOSSLESS_SIDE:
        image.save(stream, "PNG", optimize=True)
        kind = "png"
    else:
        image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
        image.save(stream, "JPEG", quality=88)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def figure_uri(figure: Figure) -> str:
    """Encodes a figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
