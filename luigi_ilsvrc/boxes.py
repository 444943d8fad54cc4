"""Bounding boxes: from the annotations, one XML file an image, to one CSV.

The rules are those of the Inception scripts (``process_bounding_boxes.py``), which made the lists that people compare
with: 615,299 boxes out of 544,546 files.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from lxml import etree

from luigi_ilsvrc.errors import BuildError, list_reasons
from luigi_ilsvrc.manifest import Manifest, entry_of
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.tar_index import ArchiveError, members_of_gzip

_MEMBER = re.compile(r"(?:\./)?(n[0-9]{8})/(n[0-9]{8}_[0-9]+)\.xml")
_PROGRESS_EVERY = 1000
_QUOTED = 40
"""Characters of a bad value that an error shows."""


class AnnotationError(BuildError):
    """One or more annotations are malformed."""


class Annotation(NamedTuple):
    """One XML file: the synset of its folder, the image's name without its ending, the file's bytes."""

    synset: str
    image: str
    xml: bytes


class Box(NamedTuple):
    """A box in relative coordinates: 0 is the left or upper edge of the image, 1 the right or lower one."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


def annotations_in_archive(archive: Path) -> Iterator[Annotation]:
    """Yield the annotations of ``ILSVRC2012_bbox_train_v2.tar.gz``, in the archive's order.

    Raises
    ------
    ArchiveError
        Where the archive is damaged, is empty, or holds anything but ``<synset>/<synset>_<n>.xml``, once each.
    """
    seen: set[str] = set()
    for name, xml in members_of_gzip(archive):
        match = _MEMBER.fullmatch(name)
        if not match:
            raise ArchiveError(
                f"{archive}: {name!r} is not named <synset>/<synset>_<n>.xml: not of ILSVRC2012's layout"
            )
        if name in seen:
            raise ArchiveError(f"{archive}: {name} is there twice")
        seen.add(name)
        yield Annotation(match.group(1), match.group(2), xml)
    if not seen:
        raise ArchiveError(f"{archive}: there is no annotation")


def annotations_in_folders(folders: Path) -> Iterator[Annotation]:
    """Yield the annotations in ``<folders>/<synset>/<synset>_<n>.xml``, sorted; other files are passed over.

    Raises
    ------
    ArchiveError
        Where there is none.
    """
    found = False
    for synset in sorted(path.name for path in folders.iterdir() if path.is_dir()):
        for name in sorted(os.listdir(folders / synset)):
            match = _MEMBER.fullmatch(f"{synset}/{name}")
            if match:
                found = True
                yield Annotation(synset, match.group(2), (folders / synset / name).read_bytes())
    if not found:
        raise ArchiveError(f"{folders}: there is no <synset>/<synset>_<n>.xml; delete the folder, or fill it")


def extract_annotations(archive: Path, directory: Path, progress: Progress = unheard) -> Manifest:
    """Write every annotation of the archive to ``<directory>/<synset>/<synset>_<n>.xml``; progress counts files.

    Returns
    -------
    Manifest
        Of the directory.

    Raises
    ------
    ArchiveError
        As `annotations_in_archive`.
    """
    manifest: Manifest = {}
    folders: set[str] = set()
    for done, annotation in enumerate(annotations_in_archive(archive), start=1):
        if annotation.synset not in folders:
            (directory / annotation.synset).mkdir()
            folders.add(annotation.synset)
        name = f"{annotation.synset}/{annotation.image}.xml"
        (directory / name).write_bytes(annotation.xml)
        manifest[name] = entry_of(annotation.xml)
        if done % _PROGRESS_EVERY == 0:
            progress("extracting", done, None)
    return manifest


def parse_annotation(xml: bytes, synset: str, synsets: Collection[str]) -> list[Box]:
    """Return the boxes of one annotation that show its own synset, in document order.

    - Relative to the width and height that the XML itself gives: the size that was shown to the annotator.
    - Coordinates may be floats; they are truncated towards zero.
    - Minimum and maximum may be swapped; what lies outside is clamped to [0, 1]; without width or height it is dropped.
    - A box that names another challenge synset is dropped; any other name (``Scottish_deerhound``) is kept. Where the
      file's first box names another challenge synset, all are dropped: the scripts looked at that name alone.

    Raises
    ------
    ValueError
        Saying why the annotation is malformed.
    """
    root = _parse_xml(xml)
    width, height = _pixels(root, "size/width"), _pixels(root, "size/height")
    if width <= 0 or height <= 0:
        raise ValueError(f"its size is {width} x {height}")
    objects = root.findall("object")
    others = [name != synset and name in synsets for name in (_text(item, "name") for item in objects)]
    if others and others[0]:
        return []
    boxes = [
        _scale(item, width, height)
        for item, other in zip(objects, others, strict=True)
        if not other and item.find("bndbox") is not None
    ]
    return [box for box in boxes if box.xmin < box.xmax and box.ymin < box.ymax]


def _parse_xml(xml: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"no well-formed XML: {error.msg}") from error


def _text(element: etree._Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _pixels(element: etree._Element, path: str) -> int:
    text = _text(element, path)
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"<{path.rpartition('/')[2]}> is {text[:_QUOTED]!r}, not a number" if text else f"no <{path}>"
        ) from error


def _scale(item: etree._Element, width: int, height: int) -> Box:
    xs = sorted(_clamp(_pixels(item, f"bndbox/{edge}") / width) for edge in ("xmin", "xmax"))
    ys = sorted(_clamp(_pixels(item, f"bndbox/{edge}") / height) for edge in ("ymin", "ymax"))
    return Box(xs[0], ys[0], xs[1], ys[1])


def _clamp(relative: float) -> float:
    return min(max(relative, 0.0), 1.0)


def write_csv(
    annotations: Iterator[Annotation], synsets: Collection[str], source: Path, path: Path, progress: Progress = unheard
) -> None:
    """Write the boxes of all `annotations` of challenge synsets: ``<image>.JPEG,<xmin>,<ymin>,<xmax>,<ymax>``.

    No header; four decimals; sorted by file name, boxes of one file in document order. The image's name is the XML
    file's own: what stands in ``<filename>`` may be a literal ``%s``. Progress counts files.

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
            progress("reading boxes", done, None)
    if malformed:
        raise AnnotationError(
            f"{source}: {len(malformed)} malformed annotations; fetch the archive again or mend them:"
            f"{list_reasons(malformed)}"
        )
    with path.open("w") as file:
        file.writelines(f"{image},{box}\n" for image in sorted(lines) for box in lines[image])
