"""The CSV of bounding boxes: ``<image>.JPEG,<xmin>,<ymin>,<xmax>,<ymax>``, relative, four decimals, no header."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import DECIMALS, Annotation, AnnotationError, Box, parse_annotation
from luigi_ilsvrc.errors import MAX_SHOWN, list_reasons
from luigi_ilsvrc.progress import Progress, no_progress

DETAILS = ("annotation", "width", "height", "kept", "odd")
"""The columns of what `write_csv` returns."""

OUTSIDE = "outside"
"""An XML file of a synset outside the challenge."""

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
) -> str:
    """Write the boxes of all `annotations` of challenge synsets, by the rules of `annotations.parse_annotation`.

    Sorted by file name, boxes of one file in document order. The image's name is the XML file's own: ``<filename>``
    may contain a literal ``%s``. Progress counts files.

    Returns
    -------
    str
        What was read, as a CSV with the columns `DETAILS`. For each file of a challenge synset, ``<synset>_<n>``: the
        size that it gives, how many boxes are kept, and what is unusual, such as ``swapped:1 no_extent:2``; see
        `annotations.ParsedAnnotation`. For each other synset: ``outside:<files>``.

    Raises
    ------
    AnnotationError
        Naming `source` and the malformed annotations: all are counted, the first ten named with their reasons. Also if
        there are absurdly many boxes.
    """
    reading = _Reading(frozenset(synsets), source)
    reading.read(annotations, progress)
    path.write_text(reading.csv())
    return reading.details()


def check_same_boxes(annotations: Iterable[Annotation], synsets: Collection[str], source: Path, csv: Path) -> None:
    """Raise `AnnotationError` unless annotations give the boxes that a CSV has; otherwise as `write_csv`."""
    reading = _Reading(frozenset(synsets), source)
    reading.read(annotations, no_progress)
    if reading.csv() != csv.read_text():
        raise AnnotationError(
            f"{source}: its boxes are not those of {csv}, which was made of other annotations: nothing is mixed. Use "
            "the source it was begun with, or another --data-dir"
        )


def count_boxes(path: Path) -> int:
    """Return how many boxes a CSV has, a line each. Raises OSError."""
    return path.read_bytes().count(b"\n")


class _Reading:
    """What is read of annotations.

    Attributes
    ----------
    lines : dict
        The lines of each image that has boxes, by its name.
    """

    def __init__(self, synsets: frozenset[str], source: Path) -> None:
        self.lines: dict[str, str] = {}
        self._synsets = synsets
        self._source = source
        self._boxes = self._malformed = 0
        self._reasons: list[str] = []
        self._details: list[str] = []
        self._outside: Counter[str] = Counter()

    def read(self, annotations: Iterable[Annotation], progress: Progress) -> None:
        """Read all annotations; raises `AnnotationError` if some are malformed."""
        for done, annotation in enumerate(annotations, start=1):
            if annotation.synset in self._synsets:
                self._read_one(annotation)
            else:
                self._outside[annotation.synset] += 1
            if done % _PROGRESS_EVERY == 0:
                progress("reading boxes", done, None, "files")
        if self._malformed:
            raise AnnotationError(
                f"{self._source}: {self._malformed} malformed annotations; download the archive again or fix them:"
                f"{list_reasons(self._reasons, self._malformed)}"
            )

    def _read_one(self, annotation: Annotation) -> None:
        try:
            boxes, width, height, odd = parse_annotation(annotation.xml, annotation.synset, self._synsets)
        except ValueError as error:
            self._malformed += 1
            if self._malformed <= MAX_SHOWN:
                self._reasons.append(f"{annotation.synset}/{annotation.image}.xml: {error}")
            return
        if boxes:
            image = f"{annotation.image}.JPEG"
            lines = "".join(f"{image},{_FORMAT.format(*box)}\n" for box in boxes)
            self.lines[image] = self.lines.get(image, "") + lines
        unusual = " ".join(f"{reason}:{odd[reason]}" for reason in sorted(odd)) if odd else ""
        self._details.append(f"{annotation.image},{width},{height},{len(boxes)},{unusual}\n")
        self._boxes = _checked(self._boxes + len(boxes), self._source)

    def csv(self) -> str:
        """Return the lines of all images, sorted by name."""
        return "".join(self.lines[image] for image in sorted(self.lines))

    def details(self) -> str:
        """Return what `write_csv` returns."""
        outside = [f"{synset},,,,{OUTSIDE}:{files}\n" for synset, files in self._outside.items()]
        return "".join([",".join(DETAILS) + "\n", *sorted(self._details), *sorted(outside)])


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
