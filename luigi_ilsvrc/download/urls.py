"""What a URL says, and what of it may be shown."""

from typing import TypeAlias
from urllib.parse import urlsplit

Host: TypeAlias = tuple[str, str | None, int | None]
"""Scheme, host name and port of a URL."""

_PORTS = {"http": 80, "https": 443}


def is_web_url(source: str) -> bool:
    """Tell whether `source` is a URL of a web server."""
    return source.lower().startswith(("http://", "https://"))


def without_secrets(url: str) -> str:
    """Return `url` as it may be shown and stored: without a user name, and without a query (it may be a signature)."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def host_of(url: str) -> Host:
    """Return the server that `url` names; raises ValueError if its port is not a number."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
