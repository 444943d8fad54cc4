"""What a build was made from, and with which versions."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from luigi_ilsvrc.build_record import digest_of, read_archive_record, read_record
from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import PACKAGED_TABLES

_PACKAGES = (
    *("luigi-ilsvrc", "luigi", "pillow", "lxml", "zlib-ng", "google-crc32c", "requests", "urllib3"),
    *("pandas", "numpy", "matplotlib", "jinja2"),
)


class UsedArchive(NamedTuple):
    """One archive.

    Attributes
    ----------
    name : str
        Its official name.
    size : int or None
        In bytes; None if it was never there.
    md5 : str
        Its MD5 sum, or what it has to be; empty if that is not known.
    check : str
        What the sum was compared with.
    is_there : bool
        Whether the archive is still there.
    """

    name: str
    size: int | None
    md5: str
    check: str
    is_there: bool


class UsedTable(NamedTuple):
    """One label table: its name, its SHA-256, and whether it is the packaged one."""

    name: str
    sha256: str
    is_packaged: bool


def archives_of(paths: DataSetPaths) -> Iterator[UsedArchive]:
    """Yield the archives that a build has been given."""
    record = read_record(paths)
    for archive in ARCHIVES:
        given = record.archives.get(archive.name) if record else None
        remembered = read_archive_record(paths.archive_record(archive))
        if remembered is None:
            yield UsedArchive(archive.name, None, "", "not used: class folders were there", False)
            continue
        if given is None:
            check = "no sum was given to compare it with"
        elif given.lower() == archive.md5:
            check = "is the official one"
        else:
            check = "is the one that was given"
        yield UsedArchive(archive.name, remembered.size, remembered.md5, check, paths.archive(archive).exists())


def tables_of(paths: DataSetPaths) -> Iterator[UsedTable]:
    """Yield the label tables that a build was begun with."""
    record = read_record(paths)
    for name, digest in (record.tables if record else {}).items():
        yield UsedTable(name, digest, digest == digest_of(name, PACKAGED_TABLES / name))


def versions() -> list[tuple[str, str]]:
    """Return names and versions of what made the page: Python, the packages, and Pillow's JPEG library."""
    from PIL import features

    found = [("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("Pillow's JPEG library", str(features.version("libjpeg_turbo") or features.version("jpg")))]
