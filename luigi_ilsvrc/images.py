"""What an image is, by its content, and the repair of the few that are not what their name says."""

import warnings
from io import BytesIO
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from luigi_ilsvrc.errors import BuildError

# Else Pillow loads its readers when the first image is opened: in each of the 1152 processes forked for shards.
Image.preinit()

_FORMATS = ("JPEG", "PNG")
_QUALITY = 100
"""Of re-encoded images: what the Inception scripts used, ``build_imagenet_data.py``."""


_PIXELS_PER_BYTE = 512
"""JPEG's closest packing: one bit for each block of 8 x 8 pixels, its mean; ITU-T T.81, F.1.2.1 and G.1.2."""


class ImageError(BuildError):
    """The bytes are not an image that can be used."""


class RGBImage(NamedTuple):
    """A JPEG that every reader takes for RGB or grey: its bytes, and its stored height and width in pixels."""

    encoded: bytes
    height: int
    width: int


def as_rgb_jpeg(encoded: bytes) -> RGBImage:
    """Return an image as it is, or re-encoded where it is a PNG in disguise, or a CMYK or YCCK JPEG.

    One training image is a PNG and 22 are CMYK. Only the header of the others is read: decoding every image costs
    2,000 µs, this costs 35 to 60. The size is that of the pixels as stored; an EXIF rotation is not applied.

    Raises
    ------
    ImageError
        Where the bytes are neither JPEG nor PNG, too few for the size that the header gives, or the image to be
        re-encoded cannot be decoded.
    """
    with _open(encoded) as image:
        if image.format != "PNG" and image.width * image.height > _PIXELS_PER_BYTE * len(encoded):
            raise ImageError(
                f"its header gives {image.width} x {image.height} pixels, more than {len(encoded):,} bytes can hold"
            )
        if image.format == "PNG" or image.mode == "CMYK":
            encoded = _encode_rgb(image)
        return RGBImage(encoded, image.height, image.width)


def check_whole(encoded: bytes) -> None:
    """Decode an image to its last pixel, as a reader would; costs 1,000 µs where a header costs 50.

    Raises
    ------
    ImageError
        Where the bytes are neither JPEG nor PNG, or cannot be decoded to the end.
    """
    with _open(encoded) as image:
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"it cannot be decoded: {error}") from error


def _open(encoded: bytes) -> Image.Image:
    if not encoded:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            # A damaged EXIF block is of no interest here.
            warnings.simplefilter("ignore")
            return Image.open(BytesIO(encoded), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(f"neither JPEG nor PNG: it begins with {encoded[:16]!r}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"its header cannot be read: {error}") from error


def _encode_rgb(image: Image.Image) -> bytes:
    jpeg = BytesIO()
    try:
        image.convert("RGB").save(jpeg, "JPEG", quality=_QUALITY)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"it cannot be decoded: {error}") from error
    return jpeg.getvalue()
