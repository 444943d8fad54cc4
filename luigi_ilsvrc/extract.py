"""Images into class folders, through the index."""

from collections.abc import Sequence
from pathlib import Path

from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.tar_index import ImageLocation, ImageReader


def extract_synset(
    reader: ImageReader, images: Sequence[ImageLocation], folder: Path, progress: Progress = unheard
) -> None:
    """Write each of `images` to ``<folder>/<name>``, byte for byte; progress counts images.

    Raises
    ------
    ArchiveError
        Where an image cannot be read, see `ImageReader.read`.
    """
    for done, image in enumerate(images, start=1):
        (folder / image.name).write_bytes(reader.read(image))
        progress("extracting", done, len(images))


def extract_sorted(
    reader: ImageReader, images: Sequence[ImageLocation], directory: Path, progress: Progress = unheard
) -> None:
    """Write each of `images` to ``<directory>/<synset>/<name>``, in the order of the archive; progress counts images.

    Raises
    ------
    ArchiveError
        Where an image cannot be read, see `ImageReader.read`.
    """
    for synset in {image.synset for image in images}:
        (directory / synset).mkdir()
    for done, image in enumerate(sorted(images, key=lambda image: image.offset), start=1):
        (directory / image.synset / image.name).write_bytes(reader.read(image))
        progress("extracting", done, len(images))
