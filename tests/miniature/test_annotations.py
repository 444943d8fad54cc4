from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS, read_synsets
from luigi_ilsvrc.miniature import HUMAN_NAME, OUTSIDE_SYNSET
from tests.miniature.reading import open_image


def _image_of(annotation: str) -> str:
    """Return the name of the image of an annotation, from its name in the archive."""
    return annotation.split("/")[1].replace(".xml", ".JPEG")


def _size(root: ElementTree.Element) -> tuple[int, int]:
    return int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))


def _boxes(root: ElementTree.Element) -> list[tuple[float, ...]]:
    return [
        tuple(float(box.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
        for box in root.findall("object/bndbox")
    ]


def _has_floats(root: ElementTree.Element) -> bool:
    return "." in root.findtext("object/bndbox/xmin", "")


def _is_swapped(root: ElementTree.Element) -> bool:
    return any(xmin > xmax and ymin > ymax for xmin, ymin, xmax, ymax in _boxes(root))


def _reaches_beyond(root: ElementTree.Element) -> bool:
    width, height = _size(root)
    return any(xmin < 0 and ymin < 0 and xmax > width and ymax > height for xmin, ymin, xmax, ymax in _boxes(root))


def _is_outside(root: ElementTree.Element) -> bool:
    return any(xmin > _size(root)[0] for xmin, *_ in _boxes(root))


def _has_a_box_without_width(root: ElementTree.Element) -> bool:
    return sorted(xmin < xmax for xmin, _, xmax, _ in _boxes(root)) == [False, True]


def _has_no_filename(root: ElementTree.Element) -> bool:
    return root.findtext("filename") == "%s"


def _has_a_human_name(root: ElementTree.Element) -> bool:
    return root.findtext("object/name") == HUMAN_NAME


def _is_outside_the_challenge(root: ElementTree.Element) -> bool:
    return root.findtext("folder") == OUTSIDE_SYNSET


def _goes_from_right_to_left(root: ElementTree.Element) -> bool:
    return len(_boxes(root)) == 3 and _boxes(root) == sorted(_boxes(root), reverse=True)


@pytest.mark.parametrize(
    "is_odd",
    [
        _has_floats,
        _is_swapped,
        _reaches_beyond,
        _is_outside,
        _has_a_box_without_width,
        _has_no_filename,
        _has_a_human_name,
        _is_outside_the_challenge,
        _goes_from_right_to_left,
    ],
)
def test_odd_annotations_are_there(
    annotations: dict[str, ElementTree.Element], is_odd: Callable[[ElementTree.Element], bool]
) -> None:
    assert any(map(is_odd, annotations.values()))


@pytest.mark.parametrize("expected", [[True, False], [False, True]])
def test_one_of_two_objects_has_the_name_of_another_challenge_synset(
    small: Path, annotations: dict[str, ElementTree.Element], expected: list[bool]
) -> None:
    synsets = set(read_synsets(small / UNIQUE_SYNSETS))

    def is_of_another(root: ElementTree.Element) -> list[bool]:
        return [name.text in synsets - {root.findtext("folder")} for name in root.findall("object/name")]

    assert expected in map(is_of_another, annotations.values())


def test_one_annotation_has_no_image(training: dict[str, bytes], annotations: dict[str, ElementTree.Element]) -> None:
    challenge = {name for name in map(_image_of, annotations) if not name.startswith(OUTSIDE_SYNSET)}
    assert len(challenge - set(training)) == 1


def test_some_annotations_give_another_size_than_the_image_has(
    training: dict[str, bytes], annotations: dict[str, ElementTree.Element]
) -> None:
    sizes = {name: open_image(data).size for name, data in training.items()}
    same = Counter(
        _size(root) == sizes[_image_of(name)] for name, root in annotations.items() if _image_of(name) in sizes
    )
    assert 1 <= same[False] < same[True]
