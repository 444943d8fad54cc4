"""Small archives, whole and broken, as bytes."""

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

SYNSETS = ["n01440764", "n01443537"]
LABELS = ["n01443537", "n01440764", "n01443537"]
"""The validation table of `validation_tar`."""

Files = Iterable[tuple[str | tarfile.TarInfo, bytes]]


def tar_of(files: Files, format: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, contents in files:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return buffer.getvalue()


def train_tar(**extra: Files) -> bytes:
    """A training archive of two synsets; a keyword replaces the images of one."""
    images: dict[str, Files] = {
        "n01443537": [("n01443537_22.JPEG", b"fish" * 300), ("n01443537_3.JPEG", b"gold")],
        "n01440764": [("n01440764_10.JPEG", b"tench")],
    }
    images.update(extra)
    return tar_of((f"{synset}.tar", tar_of(files)) for synset, files in images.items())


def validation_tar() -> bytes:
    return tar_of((f"ILSVRC2012_val_{number:08}.JPEG", bytes([number]) * 600) for number in (3, 1, 2))


def annotation_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write an archive of annotations."""
    path.write_bytes(gzip.compress(tar_of(files.items())))
    return path


def tar_with_field(position: int, field: bytes, format: Literal[0, 1] = tarfile.USTAR_FORMAT) -> bytes:
    """A tar of one file, ``name`` of 5 bytes, with a field of its header overwritten and the checksum right."""
    member = tarfile.TarInfo("name")
    member.size = 5
    header = bytearray(member.tobuf(format))
    header[position : position + len(field)] = field
    return bytes(with_checksum(header)) + b"tench".ljust(512, b"\0") + bytes(1024)


def with_checksum(header: bytearray) -> bytearray:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


def retyped(contents: bytes, name: bytes, kind: bytes) -> bytes:
    """Give a member of a tar another type, with the right checksum."""
    start = contents.rindex(name + b"\0")
    header = bytearray(contents[start : start + 512])
    header[156:157] = kind
    return contents[:start] + bytes(with_checksum(header)) + contents[start + 512 :]


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    """A member that is not a regular file."""
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


def images_in(path: Path) -> dict[str, bytes]:
    """Return the images of a training archive as ``tarfile`` reads them."""
    images = {}
    with tarfile.open(path) as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                for image in inner:
                    contained = inner.extractfile(image)
                    assert contained is not None
                    images[image.name] = contained.read()
    return images
