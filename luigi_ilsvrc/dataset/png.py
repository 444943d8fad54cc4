"""The structure of a PNG file, https://www.w3.org/TR/png-3/#5DataRep: its chunks, without decoding a pixel."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNK = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_END = b"IEND"


def check_structure(encoded: bytes) -> None:
    """Follow the chunks to the end of the image; what stands after it is ignored.

    Raises
    ------
    ValueError
        If the file ends before the image does, or the CRC of a chunk that decoding needs is wrong.
    """
    position = len(SIGNATURE)
    while position + _CHUNK.size <= len(encoded):
        length, kind = _CHUNK.unpack_from(encoded, position)
        crc_position = position + _CHUNK.size + length
        if crc_position + _CRC.size > len(encoded):
            break
        # An upper-case first letter: a chunk that every decoder needs.
        is_critical = kind[:1].isupper()
        crc = zlib.crc32(encoded[position + 4 : crc_position]) if is_critical else None
        if crc is not None and crc != _CRC.unpack_from(encoded, crc_position)[0]:
            raise ValueError(f"the CRC of its {kind.decode('latin-1')!r} chunk at byte {position:,} is wrong")
        if kind == _END:
            return
        position = crc_position + _CRC.size
    raise ValueError(f"its end is missing: the file ends within the image, after {len(encoded):,} bytes")
