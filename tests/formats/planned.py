"""Images, where they lie, and what is planned of them."""

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image

from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.layouts.index import ImageLocation
from tests.layouts.archives import tar_of


def jpeg(width: int = 8, height: int = 6, mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    Image.new(mode, (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def location(name: str, offset: int = 0, size: int = 1) -> ImageLocation:
    return ImageLocation(name, name.split("_")[0], "training_images.tar", offset, size)


def planned(name: str = "n01440764_2.JPEG", boxes: list[tuple[float, ...]] | None = None) -> PlannedImage:
    return PlannedImage(location(name), 1, "tench", boxes or [])


def write_images(directory: Path, images: Mapping[str, bytes]) -> list[PlannedImage]:
    """Put images into an archive, and plan them."""
    path = directory / "training_images.tar"
    path.write_bytes(tar_of(images.items()))
    with tarfile.open(path) as tar:
        return [PlannedImage(location(member.name, member.offset_data, member.size), 1, "tench", []) for member in tar]
