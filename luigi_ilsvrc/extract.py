"""Images and annotations into class folders: copied out of archives, or linked where they lie in folders."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.early_sync import early_sync
from luigi_ilsvrc.storage.manifest import Files, ManifestError, entry_of, read_manifest
from luigi_ilsvrc.storage.publish import write_all


def extract_synset(
    reader: ImageReader, images: Sequence[ImageLocation], folder: Path, progress: Progress = no_progress
) -> Files:
    """Write each of `images` to ``<folder>/<name>``, byte for byte; progress counts images.

    Returns
    -------
    dict
        The entries of the files: their CRCs are of the bytes in memory, which saves reading them again.

    Raises
    ------
    ArchiveError
        If an image cannot be read, see `ImageReader.read`.
    DiskError
        If the images will not fit.
    """
    return _extract(reader, images, folder, "{0.name}", progress)


def extract_sorted(
    reader: ImageReader, images: Sequence[ImageLocation], directory: Path, progress: Progress = no_progress
) -> Files:
    """Write each of `images` to ``<directory>/<synset>/<name>``; otherwise as `extract_synset`."""
    for synset in {image.synset for image in images}:
        (directory / synset).mkdir(exist_ok=True)
    return _extract(reader, images, directory, "{0.synset}/{0.name}", progress)


def _extract(
    reader: ImageReader, images: Sequence[ImageLocation], directory: Path, path: str, progress: Progress
) -> Files:
    disk.check_free_space({directory: sum(image.size for image in images)})
    files = {}
    # In the archive's order: that is the disk's.
    in_order = sorted(images, key=lambda image: image.offset)
    with early_sync(directory) as written:
        for done, (image, contents) in enumerate(zip(in_order, reader.read_all(in_order), strict=True), start=1):
            name = path.format(image)
            _write_new(f"{directory}/{name}", contents)
            written(len(contents))
            files[name] = entry_of(contents)
            progress("extracting", done, len(images), "images")
    return files


def _write_new(path: str, contents: bytes) -> None:
    # Python's own files take 30 µs more, of 190 for an image of 100 kB.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        write_all(descriptor, contents)
    finally:
        os.close(descriptor)


def check_in_place(images: Iterable[ImageLocation], dataset: Path) -> None:
    """Raise `ArchiveError` unless each image is still the file that was indexed, by its size."""
    for image in images:
        path = dataset / image.file
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ArchiveError(
                f"{path}: it was indexed, and cannot be read: {error.strerror}; {_SOURCE_AGAIN}"
            ) from error
        if size != image.size:
            raise ArchiveError(f"{path} has {size} bytes, the index says {image.size}; {_SOURCE_AGAIN}")


_SOURCE_AGAIN = "put it back, or give the --source that has it as it was"


def link_sorted(images: Iterable[ImageLocation], dataset: Path, folder: Path, output: Path) -> None:
    """Make ``<folder>/<synset>`` a symbolic link to each class folder; a folder of links, if images lie in none.

    The links are right once the folder is `output`.
    """
    for image in images:
        source, synset = dataset / image.file, image.synset
        if source.parent.name != synset:
            (folder / synset).mkdir(exist_ok=True)
            (folder / synset / image.name).symlink_to(relative_link(source, output / synset / image.name))
        elif not (folder / synset).is_symlink():
            (folder / synset).symlink_to(relative_link(source.parent, output / synset))


def class_folder_image(image: ImageLocation, dataset: Path, folders: Path) -> Path | None:
    """Return where an image lies as a file of its size; None if it lies in none of `class_folder_places`."""
    places = class_folder_places(image, dataset, folders)
    return next((place for place in places if place.is_file() and place.stat().st_size == image.size), None)


def class_folder_places(image: ImageLocation, dataset: Path, folders: Path) -> list[Path]:
    """Return where an image may lie as a file: in a class folder of the build, or in the folder that was indexed.

    Parameters
    ----------
    image : ImageLocation
        The image.
    dataset : Path
        The data set's folder, to which the index's files are relative.
    folders : Path
        The class folders of the split.
    """
    indexed = [] if image.file.endswith(".tar") else [dataset / image.file]
    return [folders / image.synset / image.name, *indexed]


def link_each(images: Iterable[tuple[ImageLocation, Path]], folder: Path, output: Path) -> None:
    """Make ``<folder>/<synset>/<name>`` a link to where each image lies; the links are right once it is `output`."""
    for image, place in images:
        name = Path(image.synset, image.name)
        (folder / name).symlink_to(relative_link(place, output / name))


def has_broken_links(folders: Path) -> bool:
    """Tell whether a class folder is a link that leads nowhere, or the first thing in it is one."""
    return any(_is_broken(path) or _is_broken(_first_in(path)) for path in _paths_in(folders))


def _is_broken(path: Path | None) -> bool:
    return path is not None and path.is_symlink() and not path.exists()


def _first_in(folder: Path) -> Path | None:
    return next(iter(_paths_in(folder)), None) if not folder.is_symlink() else None


def _paths_in(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:
        return []


def remove_links(folders: Path) -> None:
    """Remove class folders that are links, or hold links; never what these lead to. Raises OSError if there is more."""
    for path in _paths_in(folders):
        for link in [path] if path.is_symlink() else _paths_in(path):
            if link.is_symlink():
                link.unlink()
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
    folders.rmdir()


def relative_link(target: Path, link: Path) -> str:
    """Return what a symbolic link at `link` has to hold so that it leads to `target`, wherever the build is moved."""
    # The parent may be a link to another disk.
    return os.path.relpath(target, link.parent.resolve())


def as_extracted(annotations: Iterable[Annotation], directory: Path, manifest: Path) -> Iterator[Annotation]:
    """Yield extracted annotations, after comparing each with what was written; at the end none may be missing.

    Parameters
    ----------
    annotations : iterable of Annotation
        What was read of `directory`.
    directory : Path
        Where `extract_annotations` has put them.
    manifest : Path
        The manifest of that.

    Raises
    ------
    ManifestError
        Naming the first file that is not as it was written; it says what to do.
    """
    remedy = f"; delete {directory} and run the build again, which makes it anew"
    try:
        left = read_manifest(manifest).files
    except ManifestError as error:
        raise ManifestError(f"{error}{remedy}") from error
    for annotation in annotations:
        name = f"{annotation.synset}/{annotation.image}.xml"
        if left.pop(name, None) != entry_of(annotation.xml):
            raise ManifestError(f"{directory / name} is not as it was written{remedy}")
        yield annotation
    if left:
        raise ManifestError(f"{directory / min(left)} is missing{remedy}")


_PROGRESS_EVERY = 1000


def extract_annotations(annotations: Iterable[Annotation], directory: Path, progress: Progress = no_progress) -> Files:
    """Write every annotation to ``<directory>/<synset>/<synset>_<n>.xml``; progress counts files.

    Returns
    -------
    dict
        The entries of the files.
    """
    files: Files = {}
    folders: set[str] = set()
    for done, annotation in enumerate(annotations, start=1):
        if annotation.synset not in folders:
            (directory / annotation.synset).mkdir()
            folders.add(annotation.synset)
        name = f"{annotation.synset}/{annotation.image}.xml"
        _write_new(f"{directory}/{name}", annotation.xml)
        files[name] = entry_of(annotation.xml)
        if done % _PROGRESS_EVERY == 0:
            progress("extracting", done, None, "files")
    return files
