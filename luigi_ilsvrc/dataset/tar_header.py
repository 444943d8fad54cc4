"""The header of a member of a tar: one block, with a checksum of its own.

The format is POSIX.1-1988 "ustar" as GNU tar writes it:
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

import re

BLOCK = 512
"""A tar is made of blocks of this many bytes."""


_OCTAL = re.compile(rb" *(-?[0-7]*)[ \0]*")


def parse_octal(field: bytes) -> int:
    """Return the number in a field of a header; raises ValueError if it is not an octal number."""
    # int() alone would accept b"1_0" and b"0o7".
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ValueError(field)
    return int(match[1] or b"0", 8)


def checksum_is_right(block: bytes) -> bool:
    """Tell whether the checksum of a tar header is that of its bytes.

    Raises
    ------
    ValueError
        If the block has no checksum at all: the field is not an octal number.
    """
    field = block[148:156]
    # The sum of the header's bytes, its own eight taken as spaces.
    return parse_octal(field) == sum(block) - sum(field) + 8 * ord(" ")


def is_header(block: bytes) -> bool:
    """Tell whether a block may be the header of a member: it is complete, and its checksum is right."""
    try:
        return len(block) == BLOCK and checksum_is_right(block)
    except ValueError:
        return False
