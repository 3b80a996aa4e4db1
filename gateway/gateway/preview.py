"""An image as the model saw it, for those who cannot show it themselves."""

import base64
import io

import numpy as np
from PIL import Image

QUALITY = 80  # of 100; some 20 kB


def data_url(pixels: np.ndarray) -> str:
    """A JPEG of uint8 [height, width, 3] as a `data:` URL."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
