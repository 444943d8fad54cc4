"""Whether the first bytes that a server sends are those of an archive.

Dead links and login pages are often sent with status 200, and any Content-Type.
"""

import re

FIRST_BYTES = 512
"""How many bytes `unexpected_content` needs: a block of a tar."""

_TAR_MAGIC = slice(257, 262), b"ustar"  # since POSIX.1-1988; older tars have none
_GZIP_MAGIC = slice(0, 2), b"\x1f\x8b"
_TEXT = re.compile(rb"(\xef\xbb\xbf)?\s*(<[!?a-z]|\{\s*[\"}]|\[\s*[\"\[{])", re.IGNORECASE)
_TEXT_TYPES = ("text/html", "application/xhtml", "application/json", "text/xml", "application/xml")


def unexpected_content(name: str, content_type: str, first_bytes: bytes) -> str | None:
    """Compare the first bytes of a file with what its name says.

    Parameters
    ----------
    name : str
        The archive's name; ``.gz`` at its end means gzip, all others are tars.
    content_type : str
        The header Content-Type; it decides nothing if the bytes are those of an archive.
    first_bytes : bytes
        The first `FIRST_BYTES` bytes, or the whole file if it is shorter.

    Returns
    -------
    str or None
        What they are, in words; None if they may be the archive.
    """
    is_gzip = first_bytes[_GZIP_MAGIC[0]] == _GZIP_MAGIC[1]
    is_tar = first_bytes[_TAR_MAGIC[0]] == _TAR_MAGIC[1]
    if is_gzip if name.endswith(".gz") else is_tar:
        return None
    if content_type.lower().startswith(_TEXT_TYPES) or _TEXT.match(first_bytes):
        return "a page or a message"
    if not first_bytes:
        return "nothing"
    if name.endswith(".gz"):
        return "something that is not gzip"
    return "something gzip-compressed" if is_gzip else None
