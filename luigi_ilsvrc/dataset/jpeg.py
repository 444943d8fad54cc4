"""The structure of a JPEG file, ITU-T T.81: its markers, without decoding a pixel."""

import re
import struct
from typing import NamedTuple

MAX_SCANS = 500
"""More than any encoder writes (libjpeg's progressive default is 10); each scan costs a pass over the whole image."""

MAX_COEFFICIENT_BYTES = 200_000_000
"""Memory for the coefficients of an image in several scans, which libjpeg keeps all at once, in 2 bytes each."""

_PIXELS_PER_BYTE = 512
"""JPEG's closest packing: one bit for each block of 8 x 8 pixels, its mean; F.1.2.1 and G.1.2."""

_MAX_PLAIN_PIXELS = 1 << 24
"""A larger image takes the slower way, which checks what decoding it would cost."""

# Table B.1: the markers of segments that may stand before a scan, all of which give their length.
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_QUANTIZATION_TABLES = 0xDB
_TEMPORARY = 0x01
_PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENTS = _FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
_SEGMENT = struct.Struct(">BBH")
_LENGTH = struct.Struct(">H")
_FRAME = struct.Struct(">BHHB")
_COMPONENT_SIZE = 3
_PLAIN_FRAMES = {(colours, _FRAME.size + _COMPONENT_SIZE * colours) for colours in (1, 3)}

# The next marker: what stands before it is skipped, as libjpeg does. Within a scan, a byte 0xff of the data is followed
# by 0x00, and a restart marker (0xd0 to 0xd7) does not end it.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class Frame(NamedTuple):
    """What a frame header says: the size of the image, and for each component its sampling factors."""

    height: int
    width: int
    sampling: list[tuple[int, int]]
    is_progressive: bool

    @property
    def coefficient_bytes(self) -> int:
        """The memory for all coefficients of the image."""
        horizontal, vertical = (max(factors, default=1) or 1 for factors in zip(*self.sampling, strict=True))
        share = sum(h * v for h, v in self.sampling) / (horizontal * vertical)
        return int(2 * self.height * self.width * share)


def max_pixels(encoded_size: int) -> int:
    """Return how many pixels a JPEG of some bytes can hold."""
    return _PIXELS_PER_BYTE * encoded_size


# The header ----------------------------------------------------------------


def size_of_plain(encoded: bytes) -> tuple[int, int] | None:
    """Return height and width if the header, up to the pixels, is that of a grey or three-colour JPEG; else None.

    The structure of a header is that of B.1.1 and B.2; anything unusual in it gives None.
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


def _size_in_frame(frame: bytes, encoded_size: int) -> tuple[int, int] | None:
    if len(frame) < _FRAME.size:
        return None
    bits, height, width, colours = _FRAME.unpack_from(frame)
    if bits != 8 or (colours, len(frame)) not in _PLAIN_FRAMES:
        return None
    return (height, width) if 0 < height * width <= min(max_pixels(encoded_size), _MAX_PLAIN_PIXELS) else None


def _are_whole(tables: bytes) -> bool:
    """Tell whether quantization tables (64 values each, of 8 or 16 bits) end at the end of their segment."""
    position = 0
    while position < len(tables):
        position += 65 if tables[position] < 0x10 else 129
    return position == len(tables)


GREY, PROGRESSIVE, EXIF = "grey", "progressive", "exif"


def traits(encoded: bytes) -> list[str]:
    """Return what a reader may want to know of a JPEG, in 2 µs: `GREY`, `PROGRESSIVE`, and `EXIF` with an orientation.

    An orientation is named if it is not the usual one, ``exif2`` to ``exif8``; 6 is a quarter turn. See Exif 2.3, 4.6.
    """
    found, position = [], 2
    while position + _SEGMENT.size <= len(encoded):
        prefix, marker, length = _SEGMENT.unpack_from(encoded, position)
        if prefix != 0xFF or marker == _START_OF_SCAN or length < 2:
            break
        start, position = position + _SEGMENT.size, position + 2 + length
        if marker == _APPLICATION_1 and encoded.startswith(_EXIF, start):
            orientation = _orientation(encoded[start + len(_EXIF) : position])
            found += [f"{EXIF}{orientation}"] if orientation > 1 else []
        elif marker in _FRAMES and position <= len(encoded):
            found += [GREY] if encoded[start + _FRAME.size - 1] == 1 else []
            found += [PROGRESSIVE] if marker in _PROGRESSIVE_FRAMES else []
    return found


_APPLICATION_1 = 0xE1
_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
_MAX_ORIENTATION = 8


def _orientation(tiff: bytes) -> int:
    """Return the orientation in an Exif block; 1, the usual one, if there is none or the block is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        (first,) = struct.unpack_from(f"{order}L", tiff, 4) if order else (len(tiff),)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first) if first < len(tiff) else (0,)
        for entry in range(first + 2, first + 2 + 12 * entries, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHLH", tiff, entry)
            if tag == _ORIENTATION and value <= _MAX_ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1


# The whole file ----------------------------------------------------------------


def check_structure(encoded: bytes) -> None:
    """Follow the markers to the end of the image, which takes 20 µs; what stands after the end is ignored.

    A decoder that has all rows does not look for the end, but a file without one was cut: libjpeg, and so tensorflow,
    refuses it.

    Raises
    ------
    ValueError
        If the file ends before the image does, or decoding it would take absurdly much memory or time.
    """
    frame, scans = None, 0
    position = 2
    while match := _MARKER.search(encoded, position):
        marker, position = encoded[match.end() - 1], match.end()
        if marker == _END_OF_IMAGE:
            return
        if marker == _TEMPORARY:
            continue
        if marker not in _SEGMENTS:
            raise ValueError(f"it has the marker ff{marker:02x} at byte {match.start():,}, which no image has")
        length = _LENGTH.unpack_from(encoded, position)[0] if position + _LENGTH.size <= len(encoded) else len(encoded)
        contents = encoded[position + _LENGTH.size : position + length]
        position += max(length, _LENGTH.size)
        if marker in _FRAMES:
            frame = _parse_frame(marker, contents)
        elif marker == _START_OF_SCAN:
            scans += 1
            _check_cost(frame, contents, scans)
    raise ValueError(f"its end is missing: the file ends within the image, after {len(encoded):,} bytes")


def _parse_frame(marker: int, contents: bytes) -> Frame | None:
    if len(contents) < _FRAME.size:
        return None
    _, height, width, _ = _FRAME.unpack_from(contents)
    factors = contents[_FRAME.size + 1 :: _COMPONENT_SIZE]
    return Frame(height, width, [(factor >> 4, factor & 15) for factor in factors], marker in _PROGRESSIVE_FRAMES)


def _check_cost(frame: Frame | None, scan_header: bytes, scans: int) -> None:
    if scans > MAX_SCANS:
        raise ValueError(f"it has more than {MAX_SCANS} scans")
    if scans > 1 or frame is None or not frame.sampling or not scan_header:
        return
    # libjpeg decides by the first scan whether it keeps all coefficients.
    is_in_several_scans = frame.is_progressive or scan_header[0] < len(frame.sampling)
    if is_in_several_scans and frame.coefficient_bytes > MAX_COEFFICIENT_BYTES:
        raise ValueError(
            f"its header gives {frame.width} x {frame.height} pixels in several scans: decoding it would take "
            f"{frame.coefficient_bytes:,} bytes of memory, more than {MAX_COEFFICIENT_BYTES:,}"
        )
