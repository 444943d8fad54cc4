"""The CSV of bounding boxes: ``<image>.JPEG,<xmin>,<ymin>,<xmax>,<ymax>``, relative, four decimals, no header."""

from collections.abc import Collection, Iterable
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation, AnnotationError, parse_annotation
from luigi_ilsvrc.errors import list_reasons
from luigi_ilsvrc.progress import Progress, no_progress

_PROGRESS_EVERY = 1000


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
        Naming `source` and the malformed annotations: all are counted, the first ten named with their reasons.
    """
    known = frozenset(synsets)
    lines: dict[str, list[str]] = {}
    malformed: list[str] = []
    for done, annotation in enumerate(annotations, start=1):
        if annotation.synset in known:
            try:
                boxes = parse_annotation(annotation.xml, annotation.synset, known)
            except ValueError as error:
                malformed.append(f"{annotation.synset}/{annotation.image}.xml: {error}")
            else:
                lines.setdefault(f"{annotation.image}.JPEG", []).extend(
                    "{:.4f},{:.4f},{:.4f},{:.4f}".format(*box) for box in boxes
                )
        if done % _PROGRESS_EVERY == 0:
            progress("reading boxes", done, None, "files")
    if malformed:
        raise AnnotationError(
            f"{source}: {len(malformed)} malformed annotations; download the archive again or fix them:"
            f"{list_reasons(malformed)}"
        )
    with path.open("w") as file:
        file.writelines(f"{image},{box}\n" for image in sorted(lines) for box in lines[image])


def read_csv(path: Path) -> dict[str, list[str]]:
    """Read what `write_csv` wrote.

    Returns
    -------
    dict
        For each image that has boxes, their coordinates as text, ``xmin,ymin,xmax,ymax``, in the order of the file.
    """
    boxes: dict[str, list[str]] = {}
    with path.open() as file:
        for line in file:
            image, _, box = line.rstrip("\n").partition(",")
            boxes.setdefault(image, []).append(box)
    return boxes
