"""Loads what libraries load at their first use: each disposable child would do it anew, in 10 to 20 ms."""

from __future__ import annotations

import imagecodecs
import numpy.ma  # noqa: F401 - np.percentile asks for it
from PIL import Image

Image.preinit()
for _decoder in ("jpeg8", "jpegls", "jpeg2k", "packbits"):
    getattr(imagecodecs, f"{_decoder}_decode")
