"""What an image is, by its content, and the re-encoding of the few that are not what their name says."""

import struct
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from luigi_ilsvrc.errors import BuildError

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("JPEG", "PNG")
_QUALITY = 100
"""JPEG quality of re-encoded images: what the Inception scripts used, ``build_imagenet_data.py``."""

_PIXELS_PER_BYTE = 512
"""JPEG's closest packing: one bit for each block of 8 x 8 pixels, its mean; ITU-T T.81, F.1.2.1 and G.1.2."""

_MAX_UNCHECKED_PIXELS = 1 << 26
"""Above this size, let Pillow decide (decompression-bomb check)."""

# ITU-T T.81, table B.1: the markers of segments that may stand before a scan, all of which give their length.
_START_OF_SCAN = 0xDA
_QUANTIZATION_TABLES = 0xDB
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENTS = _FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHHB")
_PLAIN_FRAMES = {(colours, _FRAME.size + 3 * colours) for colours in (1, 3)}


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
    size = _size_of_plain_jpeg(encoded)
    if size is not None:
        return RGBImage(encoded, *size)
    with _open(encoded) as image:
        if image.format != "PNG" and image.width * image.height > _PIXELS_PER_BYTE * len(encoded):
            raise ImageError(
                f"its header gives {image.width} x {image.height} pixels, more than {len(encoded):,} bytes can hold"
            )
        if image.format == "PNG" or image.mode == "CMYK":
            encoded = _encode_rgb(image)
        return RGBImage(encoded, image.height, image.width)


def _size_of_plain_jpeg(encoded: bytes) -> tuple[int, int] | None:
    """Return height and width if the header, up to the pixels, is that of a grey or three-colour JPEG; else None.

    The structure of a header is that of ITU-T T.81, B.1.1 and B.2.
    """
    size = None
    position = 2 if encoded.startswith(b"\xff\xd8") else len(encoded)
    while position + _SEGMENT.size <= len(encoded):
        prefix, marker, length = _SEGMENT.unpack_from(encoded, position)
        if prefix != 0xFF or marker not in _SEGMENTS or length < 2:
            return None
        contents = encoded[position + _SEGMENT.size : position + 2 + length]
        if len(contents) < length - 2:
            return None
        if marker == _START_OF_SCAN:
            return size
        if marker == _QUANTIZATION_TABLES and not _are_whole(contents):
            return None
        if marker in _FRAMES:
            size = _size_in_frame(contents, len(encoded)) if size is None else None
            if size is None:
                return None
        position += 2 + length
    return None


def _size_in_frame(frame: bytes, image_size: int) -> tuple[int, int] | None:
    if len(frame) < _FRAME.size:
        return None
    bits, height, width, colours = _FRAME.unpack_from(frame)
    if bits != 8 or (colours, len(frame)) not in _PLAIN_FRAMES:
        return None
    return (height, width) if 0 < height * width <= min(_PIXELS_PER_BYTE * image_size, _MAX_UNCHECKED_PIXELS) else None


def _are_whole(tables: bytes) -> bool:
    """Tell whether quantization tables (64 values each, of 8 or 16 bits) end at the end of their segment."""
    position = 0
    while position < len(tables):
        position += 65 if tables[position] < 0x10 else 129
    return position == len(tables)


def load_pillow() -> None:
    """Import Pillow with its readers, which takes 40 ms; call it before forking processes that decode images."""
    from PIL import Image

    Image.preinit()


def check_decodes(encoded: bytes) -> None:
    """Decode an image to its last pixel, which takes about 1,000 µs.

    Raises
    ------
    ImageError
        If the bytes are neither JPEG nor PNG, or cannot be decoded to the end.
    """
    with _open(encoded) as image:
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"it cannot be decoded: {error}") from error


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


def _encode_rgb(image: "Image.Image") -> bytes:
    jpeg = BytesIO()
    try:
        image.convert("RGB").save(jpeg, "JPEG", quality=_QUALITY)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"it cannot be decoded: {error}") from error
    return jpeg.getvalue()
