"""The CSV of bounding boxes: ``<image>.JPEG,<xmin>,<ymin>,<xmax>,<ymax>``, relative, four decimals, no header."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import DECIMALS, Annotation, AnnotationError, Box, parse_annotation
from luigi_ilsvrc.errors import MAX_SHOWN, list_reasons
from luigi_ilsvrc.progress import Progress, no_progress

_PROGRESS_EVERY = 1000

_MAX_BOXES = 2_000_000
"""Three times as many as ILSVRC2012 has: 615,299."""

_LINE = re.compile(r'([^,/"\0-\x1f]+\.JPEG),([01]\.[0-9]{4}(?:,[01]\.[0-9]{4}){3})')
_MAX_QUOTED = 60
"""Characters of a bad line that an error shows."""

_FORMAT = ",".join([f"{{:.{DECIMALS}f}}"] * len(Box._fields))


def write_csv(
    annotations: Iterable[Annotation],
    synsets: Collection[str],
    source: Path,
    path: Path,
    progress: Progress = no_progress,
) -> None:
    """Write the boxes of all `annotations` of challenge synsets, by the rules of `annotations.parse_annotation`.

    Sorted by file name, boxes of one file in document order. The image's name is the XML file's own: ``<filename>``
    may contain a literal ``%s``. Progress counts files.

    Raises
    ------
    AnnotationError
        Naming `source` and the malformed annotations: all are counted, the first ten named with their reasons. Also if
        there are absurdly many boxes.
    """
    lines = _lines_by_image(annotations, frozenset(synsets), source, progress)
    with path.open("w") as file:
        file.writelines(lines[image] for image in sorted(lines))


def count_boxes(path: Path) -> int:
    """Return how many boxes a CSV has, a line each. Raises OSError."""
    return path.read_bytes().count(b"\n")


def _lines_by_image(
    annotations: Iterable[Annotation], synsets: frozenset[str], source: Path, progress: Progress
) -> dict[str, str]:
    """Return the lines of each image that has boxes, by its name."""
    lines: dict[str, str] = {}
    count, malformed, reasons = 0, 0, []
    for done, annotation in enumerate(annotations, start=1):
        if annotation.synset in synsets:
            try:
                boxes = parse_annotation(annotation.xml, annotation.synset, synsets)
            except ValueError as error:
                malformed += 1
                if malformed <= MAX_SHOWN:
                    reasons.append(f"{annotation.synset}/{annotation.image}.xml: {error}")
            else:
                if boxes:
                    image = f"{annotation.image}.JPEG"
                    lines[image] = lines.get(image, "") + "".join(f"{image},{_FORMAT.format(*box)}\n" for box in boxes)
                count = _checked(count + len(boxes), source)
        if done % _PROGRESS_EVERY == 0:
            progress("reading boxes", done, None, "files")
    if malformed:
        raise AnnotationError(
            f"{source}: {malformed} malformed annotations; download the archive again or fix them:"
            f"{list_reasons(reasons, malformed)}"
        )
    return lines


def _checked(boxes: int, source: Path) -> int:
    if boxes > _MAX_BOXES:
        raise AnnotationError(
            f"{source}: it has more than {_MAX_BOXES:,} boxes, ILSVRC2012 has 615,299; download the archive again"
        )
    return boxes


def read_csv(path: Path) -> dict[str, list[str]]:
    """Read what `write_csv` wrote.

    An empty file is what `write_csv` makes of annotations without boxes, so it is accepted here.

    Returns
    -------
    dict
        For each image that has boxes, their coordinates as text, ``xmin,ymin,xmax,ymax``, in the order of the file.

    Raises
    ------
    AnnotationError
        Naming file and line, if it is not what `write_csv` writes.
    """
    try:
        *lines, last = path.read_bytes().decode().split("\n")
    except UnicodeDecodeError as error:
        raise _damaged(path, f"it is not UTF-8 text from byte {error.start} on") from error
    boxes: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise _damaged(
                f"{path}:{number}", f"{line[:_MAX_QUOTED]!r} is not <image>.JPEG,<xmin>,<ymin>,<xmax>,<ymax>"
            )
        boxes.setdefault(match[1], []).append(match[2])
    if last:
        raise _damaged(f"{path}:{len(lines) + 1}", "the file ends within a line")
    return boxes


def _damaged(where: object, reason: str) -> AnnotationError:
    return AnnotationError(f"{where}: {reason}; delete the file and run the build again")
