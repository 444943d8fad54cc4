"""A file in a folder as a source."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.download.server_text import shown
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.download.urls import is_web_url, without_secrets

_SCHEME = re.compile("[a-z][a-z0-9+.-]+:", re.IGNORECASE)


def find_local_file(source: str, name: str) -> Path | None:
    """Return the file `name` of a source that is a folder, symbolic links resolved; None if the source is a web server.

    Raises
    ------
    DownloadError
        If `source` is neither an ``http(s)://`` or ``file://`` URL nor a folder with that file.
    """
    if is_web_url(source):
        return None
    path = _folder(source, name) / name
    if not os.path.isfile(path):  # Path.is_file raises if the folder may not be read
        official = ", ".join(archive.name for archive in ARCHIVES)
        raise DownloadError(
            f"{path} does not exist, or may not be read. A source folder has the archives under their official "
            f"names: {official}"
        )
    return path.resolve()


def _folder(source: str, name: str) -> Path:
    try:
        if source.lower().startswith("file://"):
            return Path(url2pathname(urlsplit(source).path))
    except ValueError:
        raise DownloadError(f"{name}: the source is not a valid URL; check --source") from None
    if "://" in source or (_SCHEME.match(source) and not os.path.isdir(source)):
        raise DownloadError(
            f"{shown(without_secrets(source), limit=200)}: invalid source; give an http(s) or file URL, or a local "
            "folder, with --source"
        )
    return Path(source).expanduser()
