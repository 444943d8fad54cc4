"""Encodes pictures as the kinds of image file that the data set has."""

from enum import Enum
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image, ImageChops

_COMMENT_MARKER = b"\xff\xfe"
_LENGTH_BYTES = 2
_ORIENTATION = 0x0112
_ADOBE_TRANSFORM_YCCK = 2


class ImageKind(Enum):
    """A kind of image file. The values are part of the seeds: another value gives other pictures."""

    PLAIN = ""
    PNG = "PNG"
    GREY = "grey"
    PROGRESSIVE = "progressive"
    ROTATED = "rotated"
    CMYK = "CMYK"
    YCCK = "YCCK"


class Picture(NamedTuple):
    """An encoded picture, to which a comment can be added.

    Attributes
    ----------
    start, rest : bytes
        The file before and after the place of a comment. `rest` is empty for a PNG, which gets no comment.
    width, height : int
        In pixels.
    """

    start: bytes
    rest: bytes
    width: int
    height: int

    def with_comment(self, text: str) -> bytes:
        """Return the file with an ASCII text as its comment, so that one picture gives many different files."""
        if not self.rest:
            return self.start
        comment = text.encode()
        length = (_LENGTH_BYTES + len(comment)).to_bytes(_LENGTH_BYTES, "big")
        return b"".join((self.start, _COMMENT_MARKER, length, comment, self.rest))

    def size_with_comment(self, text: str) -> int:
        """Return the size of the file with this comment in bytes, without making the file."""
        if not self.rest:
            return len(self.start)
        return len(self.start) + len(_COMMENT_MARKER) + _LENGTH_BYTES + len(text) + len(self.rest)


def encode(image: Image.Image, kind: ImageKind, *, quality: int, optimize: bool = False) -> Picture:
    """Encode an RGB image.

    Parameters
    ----------
    image : PIL.Image.Image
        The image, in mode RGB.
    kind : ImageKind
        The kind of file.
    quality : int
        The JPEG quality, 1 to 95.
    optimize : bool
        Whether to make the JPEG smaller with Huffman tables of its own.
    """
    if kind is ImageKind.PNG:
        return Picture(_save(image, "PNG"), b"", image.width, image.height)
    jpeg = _save(_convert(image, kind), "JPEG", quality=quality, optimize=optimize, **_options(kind))
    if kind is ImageKind.YCCK:
        jpeg = _declare_ycck(jpeg)
    end = _end_of_application_segments(jpeg)
    return Picture(jpeg[:end], jpeg[end:], image.width, image.height)


def _save(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def _convert(image: Image.Image, kind: ImageKind) -> Image.Image:
    if kind is ImageKind.GREY:
        return image.convert("L")
    if kind is ImageKind.CMYK:
        return image.convert("CMYK")
    if kind is ImageKind.YCCK:
        return _ycck_as_cmyk(image)
    return image


def _options(kind: ImageKind) -> dict[str, Any]:
    if kind is ImageKind.PROGRESSIVE:
        return {"progressive": True}
    if kind is ImageKind.ROTATED:
        exif = Image.Exif()
        exif[_ORIENTATION] = 6
        return {"exif": exif}
    return {}


def _ycck_as_cmyk(image: Image.Image) -> Image.Image:
    """Return YCCK values in an image of mode CMYK, because Pillow cannot write YCCK.

    Pillow inverts the values when it writes the file; `_declare_ycck` then changes what the file says they are.
    """
    inks = ImageChops.invert(image).convert("YCbCr")
    return Image.merge("CMYK", (*(ImageChops.invert(band) for band in inks.split()), Image.new("L", image.size)))


def _declare_ycck(jpeg: bytes) -> bytes:
    # The transform is the last of the 12 bytes of Adobe's segment, which begins with its name:
    # https://www.itu.int/rec/T-REC-T.872, 6.5.3.
    transform = jpeg.index(b"Adobe") + 11
    return jpeg[:transform] + bytes((_ADOBE_TRANSFORM_YCCK,)) + jpeg[transform + 1 :]


def _end_of_application_segments(jpeg: bytes) -> int:
    position = 2
    while 0xE0 <= jpeg[position + 1] <= 0xEF:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return position
