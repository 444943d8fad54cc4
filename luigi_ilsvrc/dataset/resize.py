"""Making images smaller: to which size, and how.

The same image becomes the same bytes on every machine that has the same versions of the libraries (`library`):
libjpeg-turbo decodes and encodes with integers, to the same values with and without SIMD, and so does cykooz-resizer,
whose own tests compare the sums of its pixels with no SIMD, SSE4.1, AVX2 and NEON. No thread is started.
"""

import re
from functools import cache
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from luigi_ilsvrc.dataset.images import ImageError, RGBImage, open_checked
from luigi_ilsvrc.errors import BuildError

if TYPE_CHECKING:
    from PIL import Image

SHORT, MAX = "short", "max"
MAX_SIDE = 65_535
"""The largest width and height of a JPEG, ITU-T T.81, B.2.2."""

_SIZE = re.compile(r"(short|max):([1-9][0-9]{0,4})", re.ASCII)

_DECODED_PER_PIXEL = 3
"""How many times as wide and high as the result a JPEG has to be when it is decoded at a half, a quarter or an eighth.

At 3 the result is as close to that of the whole image as JPEG's own loss lets anybody see; docs/performance.md.
"""

KEPT_MEMORY = 8 << 20
"""Bytes of one block of memory that is given back once, before the first image.

From then on, glibc takes blocks of up to this size from memory that it keeps, up to twice as many bytes, instead of
asking the kernel for each (``mallopt(3)``, M_MMAP_THRESHOLD). A process makes a fifth more images smaller so.
"""

_MAX_DECODED_PIXELS = 1 << 26
"""Of an image that is made smaller, which takes up to 10 bytes of memory for each pixel."""


class Resize(NamedTuple):
    """How large images may be.

    Attributes
    ----------
    side : str
        Which side is measured: ``short``, the shorter one, or ``max``, the longer one.
    pixels : int
        What this side has at most, 1 to 65,535; larger images are made so small.
    quality : int
        JPEG quality of images that are made smaller, 1 to 100.
    """

    side: str
    pixels: int
    quality: int

    @property
    def name(self) -> str:
        """What stands in the name of a folder: ``short256``."""
        return f"{self.side}{self.pixels}"


def parse_size(text: str) -> tuple[str, int]:
    """Read ``short:256`` or ``max:500``.

    Raises
    ------
    ValueError
        If it is anything else, with the reason in one line.
    """
    match = _SIZE.fullmatch(text)
    if match is None or int(match[2]) > MAX_SIDE:
        raise ValueError(f"{text!r} is not short:N or max:N with N from 1 to {MAX_SIDE}, such as short:256 or max:500")
    return match[1], int(match[2])


def size_within(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """Return height and width that an image gets: its own, or those that `resize` allows, to the nearest pixel."""
    side = (min if resize.side == SHORT else max)(height, width)
    if side <= resize.pixels:
        return height, width
    return _share(height, resize.pixels, side), _share(width, resize.pixels, side)


def _share(length: int, pixels: int, side: int) -> int:
    # In integers: length * pixels / side, rounded, a half upwards.
    return max(1, (2 * length * pixels + side) // (2 * side))


def smaller(image: RGBImage, resize: Resize) -> RGBImage:
    """Return an image as it is if it is small enough, or else a smaller RGB JPEG, which takes 2 ms.

    The result has no EXIF block and no colour profile. An EXIF rotation is not applied.

    Raises
    ------
    ImageError
        If the bytes are no grey or RGB JPEG, too few for the size that the header gives, or cannot be decoded.
    BuildError
        If cykooz-resizer is not installed.
    """
    if size_within(image.height, image.width, resize) == (image.height, image.width):
        return image
    scaled = decode_smaller(image.encoded, resize)
    encoded = BytesIO()
    scaled.convert("RGB").save(encoded, "JPEG", quality=resize.quality)
    return RGBImage(encoded.getvalue(), scaled.height, scaled.width)


def decode_smaller(encoded: bytes, resize: Resize) -> "Image.Image":
    """Decode a grey or RGB JPEG and make it smaller, with a Lanczos filter of three lobes; raises as `smaller` does."""
    library()
    with open_checked(encoded) as image:
        height, width = size_within(image.height, image.width, resize)
        _decode(image, height, width)
        return _scale(image, height, width)


def _decode(image: "Image.Image", height: int, width: int) -> None:
    """Decode a JPEG that Pillow has opened, at a part of its size if that is large enough."""
    image.draft(None, (_DECODED_PER_PIXEL * width, _DECODED_PER_PIXEL * height))
    if image.mode not in ("RGB", "L"):
        raise ImageError(f"it is a {image.format} ({image.mode}), and only grey and RGB JPEGs are made smaller")
    if image.width * image.height > _MAX_DECODED_PIXELS:
        raise ImageError(
            f"to make it smaller, {image.width} x {image.height} pixels have to be decoded, more than the "
            f"{_MAX_DECODED_PIXELS:,} that are"
        )
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"it cannot be decoded: {error}") from error


def _scale(image: "Image.Image", height: int, width: int) -> "Image.Image":
    # Not Resizer.resize_pil, which is 10 % faster: it reads Pillow's memory in a layout that another version of Pillow
    # may change.
    import cykooz_resizer as cykooz
    from PIL import Image

    pixel = cykooz.PixelType.U8 if image.mode == "L" else cykooz.PixelType.U8x3
    scaled = cykooz.ImageData(width, height, pixel)
    lanczos = cykooz.ResizeAlg.convolution(cykooz.FilterType.lanczos3)
    cykooz.Resizer().resize(
        cykooz.ImageData(image.width, image.height, pixel, image.tobytes()),
        scaled,
        cykooz.ResizeOptions(lanczos, use_alpha=False),
    )
    return Image.frombytes(image.mode, (width, height), scaled.get_buffer())


@cache
def library() -> str:
    """Import what makes images smaller, and return the names and versions that the bytes depend on.

    Call it before forking processes that make images smaller: they need not import it again.

    Raises
    ------
    BuildError
        If cykooz-resizer is not installed.
    """
    try:
        import cykooz_resizer  # noqa: F401
    except ImportError as error:
        raise BuildError(
            f"images cannot be made smaller without cykooz-resizer ({error}); run: pip install 'luigi-ilsvrc[resize]'"
        ) from error
    import PIL
    from PIL import Image, features

    Image.preinit()
    bytes(KEPT_MEMORY)
    turbo = features.version_feature("libjpeg_turbo")
    jpeg = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
    return f"Pillow {PIL.__version__}, {jpeg}, cykooz-resizer {version('cykooz-resizer')}"
