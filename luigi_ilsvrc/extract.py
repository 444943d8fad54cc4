"""Images into class folders, through the index."""

from collections.abc import Sequence
from pathlib import Path

from luigi_ilsvrc import disk
from luigi_ilsvrc.manifest import Manifest, entry_of
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.tar_index import ImageLocation, ImageReader


def extract_synset(
    reader: ImageReader, images: Sequence[ImageLocation], folder: Path, progress: Progress = unheard
) -> Manifest:
    """Write each of `images` to ``<folder>/<name>``, byte for byte; progress counts images.

    Returns
    -------
    Manifest
        Of the folder: its CRCs are of the bytes in memory, which saves reading them again.

    Raises
    ------
    ArchiveError
        Where an image cannot be read, see `ImageReader.read`.
    DiskError
        Where the images will not fit.
    """
    return _extract(reader, images, folder, "{0.name}", progress)


def extract_sorted(
    reader: ImageReader, images: Sequence[ImageLocation], directory: Path, progress: Progress = unheard
) -> Manifest:
    """Write each of `images` to ``<directory>/<synset>/<name>``; otherwise as `extract_synset`."""
    for synset in {image.synset for image in images}:
        (directory / synset).mkdir()
    return _extract(reader, images, directory, "{0.synset}/{0.name}", progress)


def _extract(
    reader: ImageReader, images: Sequence[ImageLocation], directory: Path, path: str, progress: Progress
) -> Manifest:
    disk.make_sure_of_room({directory: sum(image.size for image in images)})
    manifest = {}
    # In the archive's order: its pages are read ahead.
    for done, image in enumerate(sorted(images, key=lambda image: image.offset), start=1):
        contents = reader.read(image)
        name = path.format(image)
        (directory / name).write_bytes(contents)
        manifest[name] = entry_of(contents)
        progress("extracting", done, len(images))
    return manifest
