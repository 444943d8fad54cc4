"""Whether the first bytes that a server sends are those of an archive.

Dead links and login pages are often sent with status 200, and any Content-Type.
"""

import re

from luigi_ilsvrc.dataset import tar_header

FIRST_BYTES = tar_header.BLOCK
"""How many bytes `unexpected_content` needs: a block of a tar."""

PAGE = "a page or a message"
"""What `unexpected_content` calls text that is meant for a person or a program."""

NOTHING = "nothing"
"""What `unexpected_content` calls an empty file."""

_GZIP_NAMES = (".gz", ".tgz")
_GZIP_MAGIC = b"\x1f\x8b\x08"  # RFC 1952: the magic number, and the only compression method
_TEXT = re.compile(rb"(\xef\xbb\xbf)?\s*(<[!?a-z]|\{\s*[\"}]|\[\s*[\"\[{])", re.IGNORECASE)
_TEXT_TYPES = ("text/", "application/xhtml", "application/json", "application/xml")


def unexpected_content(name: str, content_type: str, first_bytes: bytes) -> str | None:
    """Compare the first bytes of a file with what its name says.

    Parameters
    ----------
    name : str
        The archive's name; ``.gz`` or ``.tgz`` at its end means gzip, all others are tars.
    content_type : str
        The header Content-Type; it only decides what bytes that are not those of the archive are called.
    first_bytes : bytes
        At least the first `FIRST_BYTES` bytes, or the whole file if it is shorter.

    Returns
    -------
    str or None
        What they are, in words; None if they are the beginning of such an archive.
    """
    should_be_gzip = name.endswith(_GZIP_NAMES)
    is_gzip = first_bytes.startswith(_GZIP_MAGIC)
    if is_gzip if should_be_gzip else tar_header.is_header(first_bytes[:FIRST_BYTES]):
        return None
    if not first_bytes:
        return NOTHING
    if content_type.lower().startswith(_TEXT_TYPES) or _TEXT.match(first_bytes):
        return PAGE
    if is_gzip:
        return "something gzip-compressed"
    return "something that is not gzip" if should_be_gzip else "something that is not a tar archive"
