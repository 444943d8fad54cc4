"""A small ILSVRC2012 in the exact shape of the real one, for trials, tests and measurements.

``python -m luigi_ilsvrc.miniature DIR`` writes the three archives under their official names, the three label tables
and ``MD5SUMS`` to DIR, which can then be given as ``--source``. The pictures are generated. They have a photograph's
size in bytes (110 kB on average) and in pixels, and take as long to decode. There are 64 of them; a comment in the JPEG
holds the image's name, so that no two files are the same. ``--full`` writes as many files as the real data set has,
with tiny images.

The same arguments give the same bytes (with the same versions of Pillow, its libjpeg, and zlib).

The unusual files of the real data are planted, each kind at least once if there are enough files:

- images: a PNG (`DISGUISED_PNG`); CMYK JPEGs, up to 21, and one YCCK, as Adobe's programs write them; and in both
  splits grey, progressive and EXIF-rotated (orientation 6) JPEGs.
- annotations: coordinates as floats; minimum and maximum swapped; a box that reaches beyond all sides of the image; a
  box that is completely outside; a box without width before a valid one; ``<filename>%s</filename>``; two objects, the
  first or the second of which has the name of another challenge synset; an object named `HUMAN_NAME`; a file of a
  synset outside the challenge (`OUTSIDE_SYNSET`); a file for an image that is not in the archive; three objects, from
  right to left; and in one file of ten twice the width and height of the image.

The synsets in the training archive, the images of a synset, the validation images and the annotations are not sorted.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, CHECKSUM_FILE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.miniature.annotations import OUTSIDE_SYNSET
from luigi_ilsvrc.miniature.archives import FileCounter, annotation_archive, train_archive, validation_archive
from luigi_ilsvrc.miniature.boxes import HUMAN_NAME
from luigi_ilsvrc.miniature.counts import FULL, Counts, check_counts
from luigi_ilsvrc.miniature.directory import MARKER, prepare_directory, save, save_lines
from luigi_ilsvrc.miniature.errors import MiniatureError
from luigi_ilsvrc.miniature.images import DISGUISED_PNG, TrainImages, list_validation_images
from luigi_ilsvrc.miniature.pictures import Pictures
from luigi_ilsvrc.miniature.tables import choose_synsets, choose_validation_labels, save_tables
from luigi_ilsvrc.progress import Progress, no_progress

__all__ = ["DISGUISED_PNG", "FULL", "HUMAN_NAME", "MARKER", "OUTSIDE_SYNSET", "MiniatureError", "write"]


def write(
    directory: Path,
    *,
    synsets: int = 10,
    train_images: int = 400,
    validation_images: int = 50,
    xml_files: int | None = None,
    tiny: bool = False,
    seed: int = 2012,
    progress: Progress = no_progress,
) -> None:
    """Write a small ILSVRC2012.

    Needs memory for the pictures and for the list of annotations: about 200 MB at the full count.

    Parameters
    ----------
    directory : Path
        Made if it is missing. An earlier miniature in it is rewritten.
    synsets : int
        1 to 1000, chosen from those of the challenge; n02105855 is always one of them.
    train_images, validation_images : int
        At least one for each synset. The number of training images differs between synsets as in the real data, where
        most synsets have 1300 and the smallest has 732. Each synset has the same number of validation images, or one
        more.
    xml_files : int, optional
        Files of bounding boxes, at most one for each training image; by default two for every five.
    tiny : bool
        Pictures of 16 to 32 pixels a side, and less than 1 kB except the PNG, instead of a photograph's size.
    seed : int
        Another seed gives other synsets, names, pictures and boxes.
    progress : Progress
        Called with the number of files written, of all archives together.

    Raises
    ------
    MiniatureError
        If the counts are impossible, or if the directory is a file or holds something else than a miniature.
    OSError
        If a file cannot be written.
    """
    if xml_files is None:
        xml_files = max(1, train_images * 2 // 5)
    counts = Counts(synsets, train_images, validation_images, xml_files)
    check_counts(counts)
    prepare_directory(directory)
    table = choose_synsets(synsets, seed)
    archives = _archives(table, counts, seed, Pictures(seed, tiny), FileCounter(counts.files, progress))
    md5_sums = {name: save(directory / name, chunks) for name, chunks in archives.items()}
    save_tables(directory, table, choose_validation_labels(table, validation_images, seed))
    save_lines(directory / CHECKSUM_FILE, (f"{md5}  {name}" for name, md5 in md5_sums.items()))


def _archives(
    table: list[str], counts: Counts, seed: int, pictures: Pictures, counter: FileCounter
) -> Mapping[str, Iterator[bytes]]:
    train = TrainImages(table, counts.train_images, seed, pictures)
    validation = list_validation_images(counts.validation_images, seed, pictures)
    return {
        TRAIN_ARCHIVE.name: train_archive(train, seed, counter),
        VALIDATION_ARCHIVE.name: validation_archive(validation, counter),
        BOUNDING_BOX_ARCHIVE.name: annotation_archive(train, counts.xml_files, seed, counter),
    }
