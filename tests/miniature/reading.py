"""Small miniatures, and what the tests read of them."""

import gzip
import tarfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from luigi_ilsvrc import miniature
from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE

SYNSETS, TRAIN_IMAGES, VALIDATION_IMAGES, XML_FILES = 4, 60, 12, 30


def write_small(directory: Path) -> Path:
    miniature.write(
        directory,
        synsets=SYNSETS,
        train_images=TRAIN_IMAGES,
        validation_images=VALIDATION_IMAGES,
        xml_files=XML_FILES,
    )
    return directory


def write_tiny(directory: Path, **arguments: int) -> Path:
    counts = {"synsets": 2, "train_images": 20, "validation_images": 4} | arguments
    miniature.write(directory, tiny=True, **counts)  # type: ignore[arg-type]
    return directory


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def members(tar: Path | bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(tar if isinstance(tar, bytes) else tar.read_bytes())) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def headers(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        return archive.getmembers()


def annotation_tar(directory: Path) -> bytes:
    return gzip.decompress((directory / BOUNDING_BOX_ARCHIVE.name).read_bytes())


def open_image(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))
