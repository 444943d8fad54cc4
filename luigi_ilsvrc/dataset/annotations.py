"""Annotations: one XML file an image, and the rules by which its boxes are read.

The rules are those of the Inception scripts (``process_bounding_boxes.py``), which made the lists that people compare
with: 615,299 boxes out of 544,546 files.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from luigi_ilsvrc.errors import BuildError

if TYPE_CHECKING:
    from lxml import etree

DECIMALS = 4
"""Of a coordinate in the CSV."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MAX_NUMBER_LENGTH = 64
_MAX_QUOTED = 40
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


NO_EXTENT = "no_extent"
"""An object without width or height after clamping and rounding, or without a ``<bndbox>``: dropped."""
OTHER_SYNSET = "other_synset"
"""An object that names another challenge synset: dropped."""
AFTER_OTHER_SYNSET = "after_other_synset"
"""An object of a file whose first object names another challenge synset: dropped."""
OTHER_NAME = "other_name"
"""An object that names something else than its synset."""
SWAPPED = "swapped"
"""A box whose minimum and maximum are swapped."""
CLAMPED = "clamped"
"""A box that reaches beyond the image."""
FRACTIONAL = "fractional"
"""A box with a decimal point in a coordinate."""
UNNAMED = "unnamed"
"""A file with a literal ``%s`` in place of the image's name."""


class ParsedAnnotation(NamedTuple):
    """What one annotation says.

    Attributes
    ----------
    boxes : list of Box
        Those that are kept, in document order.
    width, height : int
        The size that was shown to the annotator, in pixels.
    odd : dict
        How many objects, or files, are unusual, by the way in which they are: `NO_EXTENT`, `SWAPPED` and so on.
    """

    boxes: list[Box]
    width: int
    height: int
    odd: dict[str, int]


def parse_annotation(xml: bytes, synset: str, synsets: Collection[str]) -> ParsedAnnotation:
    """Return the boxes of one annotation that show its own synset, and what is unusual in it.

    - Relative to the width and height that the XML itself gives: the size that was shown to the annotator.
    - Coordinates may be floats; they are truncated towards zero.
    - Minimum and maximum may be swapped; what lies outside is clamped to [0, 1]; a box without width or height is
      dropped, also if it has none only after rounding to four decimals.
    - A box that names another challenge synset is dropped; any other name (``Scottish_deerhound``) is kept. If the
      file's first box names another challenge synset, all are dropped: the scripts looked at that name alone.

    Raises
    ------
    ValueError
        Saying why the annotation is malformed.
    """
    root = _parse_xml(xml)
    size = _texts(root.iterchildren("size"))
    width, height = _pixels(size, "size/width"), _pixels(size, "size/height")
    if width <= 0 or height <= 0:
        raise ValueError(f"its size is {width} x {height}")
    objects = list(root.iterchildren("object"))
    odd: defaultdict[str, int] = defaultdict(int)
    if b"<filename>%s" in xml:
        odd[UNNAMED] = 1
    names = list(map(_name, objects))
    others = [name != synset and name in synsets for name in names]
    if others and others[0]:
        odd[AFTER_OTHER_SYNSET] = len(objects)
        return ParsedAnnotation([], width, height, odd)
    places = [list(item.iterchildren("bndbox")) for item, other in zip(objects, others, strict=True) if not other]
    boxes = [_scale(_texts(place), width, height, odd) for place in places if place]
    kept = [box for box in boxes if _is_wide(box.xmin, box.xmax) and _is_wide(box.ymin, box.ymax)]
    if len(kept) < len(objects) or any(name != synset for name in names):
        dropped = {OTHER_SYNSET: len(objects) - len(places), NO_EXTENT: len(places) - len(kept)}
        named = {OTHER_NAME: sum(name != synset and name not in synsets for name in names)}
        odd.update({reason: count for reason, count in {**dropped, **named}.items() if count})
    return ParsedAnnotation(kept, width, height, odd)


def _is_wide(minimum: float, maximum: float) -> bool:
    return round(minimum, DECIMALS) < round(maximum, DECIMALS)


def _parse_xml(xml: bytes) -> "etree._Element":
    # Not at the top: it takes 20 ms, and most tasks read no annotations.
    from lxml import etree

    # Without comments, the text around one is the text of its element, as in ElementTree, which the scripts used.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.doctype:
        raise ValueError("it has a document type (<!DOCTYPE>), which no annotation has")
    return root


def _texts(elements: "Iterable[etree._Element]") -> dict[str, str]:
    """Return the text of each first child of a name, of all elements together.

    ``findtext`` gives the same for a path, but an annotation then takes 79 µs and not 50.
    """
    texts: dict[str, str] = {}
    for element in elements:
        for child in element:
            texts.setdefault(child.tag, child.text or "")
    return texts


def _name(item: "etree._Element") -> str:
    return next((child.text or "" for child in item.iterchildren("name")), "").strip()


def _pixels(texts: Mapping[str, str], path: str) -> int:
    name = path.rpartition("/")[2]
    text = texts.get(name, "").strip()
    # float() alone would accept "1_0", digits of other scripts, "inf" and "nan".
    if len(text) > _MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        raise ValueError(f"<{name}> is {text[:_MAX_QUOTED]!r}, not a number" if text else f"no <{path}>")
    try:
        return int(float(text))
    except OverflowError as error:
        raise ValueError(f"<{name}> is {text!r}: too large") from error


def _scale(place: Mapping[str, str], width: int, height: int, odd: dict[str, int]) -> Box:
    left, right = _pixels(place, "bndbox/xmin"), _pixels(place, "bndbox/xmax")
    upper, lower = _pixels(place, "bndbox/ymin"), _pixels(place, "bndbox/ymax")
    if left > right or upper > lower:
        odd[SWAPPED] += 1
        left, right = sorted((left, right))
        upper, lower = sorted((upper, lower))
    if left < 0 or upper < 0 or right > width or lower > height:
        odd[CLAMPED] += 1
    if "." in place["xmin"] + place["xmax"] + place["ymin"] + place["ymax"]:
        odd[FRACTIONAL] += 1
    return Box(_clamp(left / width), _clamp(upper / height), _clamp(right / width), _clamp(lower / height))


def _clamp(relative: float) -> float:
    return min(max(relative, 0.0), 1.0)
