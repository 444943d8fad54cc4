"""What an image is, by its content, and the re-encoding of the few that are not what their name says."""

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from luigi_ilsvrc.dataset import jpeg, png
from luigi_ilsvrc.errors import BuildError

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("JPEG", "PNG")
_QUALITY = 100
"""JPEG quality of re-encoded images: what the Inception scripts used, ``build_imagenet_data.py``."""

_MAX_REENCODED_PIXELS = 1 << 24
"""Of an image that is re-encoded, which takes up to 12 bytes of memory for each pixel."""

_SMALLEST_SCALE = 8
"""A JPEG can be decoded at an eighth of its width and height."""

_PNG = "PNG"
_WIDE_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
"""Pillow's modes of grey images of 16 bits a pixel; colour images of 16 bits have 8 when Pillow has read them."""


class ImageError(BuildError):
    """The bytes are not an image that can be used."""


class RGBImage(NamedTuple):
    """A JPEG that every reader decodes as RGB or grey: its bytes, and its stored height and width in pixels."""

    encoded: bytes
    height: int
    width: int


def as_rgb_jpeg(encoded: bytes) -> RGBImage:
    """Return an image as it is, or re-encoded if it is a PNG in disguise, or a CMYK or YCCK JPEG.

    One training image is a PNG and 22 are CMYK. Only the header of the others is read: decoding every image costs
    2,000 µs, reading the header with Pillow 34 µs, and this 5 µs, because Pillow is used only if something is unusual.
    The size is that of the pixels as stored; an EXIF rotation is not applied.

    Raises
    ------
    ImageError
        If the bytes are neither JPEG nor PNG, too few for the size that the header gives, or the image to be
        re-encoded cannot be decoded.
    """
    size = jpeg.size_of_plain(encoded)
    if size is not None:
        return RGBImage(encoded, *size)
    with open_checked(encoded) as image:
        if image.format == _PNG or image.mode == "CMYK":
            encoded = _encode_rgb(image)
        return RGBImage(encoded, image.height, image.width)


def load_pillow() -> None:
    """Import Pillow with its readers, which takes 40 ms; call it before forking processes that decode images."""
    from PIL import Image

    Image.preinit()


def check_decodes(encoded: bytes) -> None:
    """Decode an image to its last pixel, which takes about 500 µs.

    All of a JPEG's data are read, but only an eighth of its rows and columns are computed.

    Raises
    ------
    ImageError
        If the bytes are neither JPEG nor PNG, cannot be decoded to the end, or have no end.
    """
    with open_checked(encoded) as image:
        if image.format == _PNG:
            _check_pixels(image)
        else:
            image.draft(None, (max(image.width // _SMALLEST_SCALE, 1), max(image.height // _SMALLEST_SCALE, 1)))
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"it cannot be decoded: {error}") from error


def open_checked(encoded: bytes) -> "Image.Image":
    """Open an image with Pillow, which decodes nothing yet.

    Raises
    ------
    ImageError
        If the bytes are neither JPEG nor PNG, have no end, or decoding them would take absurdly much memory or time.
    """
    image = _open(encoded)
    _check_structure(image, encoded)
    return image


def _open(encoded: bytes) -> "Image.Image":
    # Not at the top: most shards have no image that needs it.
    from PIL import Image, UnidentifiedImageError

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


def _check_structure(image: "Image.Image", encoded: bytes) -> None:
    """Raise `ImageError` if an image that Pillow has opened has no end, or is too large to be what it says."""
    try:
        if image.format == _PNG:
            png.check_structure(encoded)
        elif image.width * image.height > jpeg.max_pixels(len(encoded)):
            raise ValueError(
                f"its header gives {image.width} x {image.height} pixels, more than {len(encoded):,} bytes can hold"
            )
        else:
            jpeg.check_structure(encoded)
    except ValueError as error:
        raise ImageError(f"it cannot be decoded: {error}") from error


def _check_pixels(image: "Image.Image") -> None:
    if image.width * image.height > _MAX_REENCODED_PIXELS:
        raise ImageError(
            f"it is a {image.format} ({image.mode}) of {image.width} x {image.height} pixels, more than the "
            f"{_MAX_REENCODED_PIXELS:,} that are re-encoded"
        )


def _encode_rgb(image: "Image.Image") -> bytes:
    _check_pixels(image)
    encoded = BytesIO()
    try:
        _as_rgb(image).save(encoded, "JPEG", quality=_QUALITY)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"it cannot be decoded: {error}") from error
    return encoded.getvalue()


def _as_rgb(image: "Image.Image") -> "Image.Image":
    if image.mode in _WIDE_GREY:
        # Pillow's own conversion would turn all values above 255 into white.
        image = image.point(lambda value: value * (1 / 256))
        image = image.convert("L")
    return image.convert("RGB")
