import gzip
import itertools
import re
import string
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset import boxes
from luigi_ilsvrc.dataset.annotations import Annotation, AnnotationError, Box, parse_annotation
from luigi_ilsvrc.dataset.boxes import write_csv
from luigi_ilsvrc.layouts import official, tar
from luigi_ilsvrc.layouts.tar import ArchiveError
from tests.dataset.xml import SYNSET, SYNSETS, annotation, xml_box
from tests.support.memory import cost_of

MEGABYTES = 1 << 20


def parse(*objects: str, **size: object) -> list[Box]:
    return parse_annotation(annotation(*objects, **size), SYNSET, SYNSETS).boxes


# Numbers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        "1_0",
        "\u0661\u0660",
        "\uff11\uff10",
        "0x10",
        "0b1",
        "1e",
        "e3",
        "1.2.3",
        "1,5",
        "+-1",
        "inf",
        "nan",
        "1 0",
        "1" * 65,
    ],
)
def test_what_is_no_plain_number_is_refused_with_its_element(number: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"<xmin> is '{number[:10]}")):
        parse(xml_box(number, 0, 250, 200))
    with pytest.raises(ValueError, match="<width> is"):
        parse(width=number)


@pytest.mark.parametrize("number", ["50", " 50 ", "\n50\t", "50.", "50.9", "+50", "5e1", "5.0E+1", "050", "500e-1"])
def test_whole_numbers_and_floats_are_numbers(number: str) -> None:
    assert parse(xml_box(number, 0, 250, 200)) == [Box(0.1, 0.0, 0.5, 0.5)]


@pytest.mark.parametrize("number", ["1e999", "-1e400"])
def test_a_number_too_large_for_a_float_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match=f"<xmax> is '{number}'"):
        parse(xml_box(0, 0, number, 200))


@given(st.text(string.digits + "+-.eE_xinfan \u0661", max_size=8))
def test_a_number_is_what_python_reads_or_refused(text: str) -> None:
    try:
        [box] = parse(xml_box(text, 0, 10**6, 1), width=10**6, height=1)
    except ValueError:
        return
    assert box.xmin == min(max(int(float(text)) / 10**6, 0.0), 1.0)


def test_a_comment_within_a_number_does_not_cut_it() -> None:
    assert parse(xml_box("5<!-- a comment -->0", 0, "2<?x y?>50", 200)) == [Box(0.1, 0.0, 0.5, 0.5)]


# Boxes that round to nothing -----------------------------------------------------------------------------------------


def test_a_box_that_rounds_to_no_width_or_height_is_dropped() -> None:
    kept = xml_box(0, 0, 50_000, 50_000)
    size = {"width": 100_000, "height": 100_000}
    assert parse(xml_box(10, 0, 14, 50_000), xml_box(0, 10, 50_000, 14), kept, **size) == [Box(0, 0, 0.5, 0.5)]
    assert len(parse(xml_box(10, 0, 16, 50_000), **size)) == 1


@given(edges=st.lists(st.integers(-10, 40_000), min_size=4, max_size=4), size=st.integers(1, 40_000))
def test_each_line_of_the_csv_is_a_box_with_width_and_height(
    tmp_path_factory: pytest.TempPathFactory, edges: list[int], size: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "boxes.csv"
    xmin, ymin, xmax, ymax = edges
    xml = annotation(xml_box(xmin, ymin, xmax, ymax), width=size, height=size)
    write_csv([Annotation(SYNSET, f"{SYNSET}_1", xml)], SYNSETS, path, path)
    for line in path.read_text().splitlines():
        left, upper, right, lower = map(float, line.split(",")[1:])
        assert 0 <= left < right <= 1
        assert 0 <= upper < lower <= 1


# XML bombs -----------------------------------------------------------------------------------------------------------

LAUGHS = "".join(
    f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
DOCTYPE = f'<!DOCTYPE annotation [<!ENTITY a "laugh">{LAUGHS}]>'
SIZE = "<size><width>5</width><height>5</height></size>"
XML_BOMBS = {
    "laughs in an element": f"{DOCTYPE}<annotation>{SIZE}<x>&i;</x></annotation>",
    "laughs in an attribute": f'{DOCTYPE}<annotation x="&i;">{SIZE}</annotation>',
    "one large entity": f'<!DOCTYPE a [<!ENTITY a "{"x" * 9000}">]><annotation>{SIZE}{"&a;" * 90_000}</annotation>',
    "deep nesting": f"<annotation>{SIZE}{'<a>' * 90_000}{'</a>' * 90_000}</annotation>",
    "a file of this machine": f'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation>{SIZE}</annotation>',
    "a document type": f"<!DOCTYPE annotation><annotation>{SIZE}</annotation>",
    "a long number": f"<annotation><size><width>{'1' * 900_000}</width><height>5</height></size></annotation>",
}


@pytest.mark.parametrize("xml", XML_BOMBS.values(), ids=XML_BOMBS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_xml_bomb_is_refused_quickly(xml: str, encoding: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match="XML|document type|<width>"):
        parse_annotation(xml.encode(encoding), SYNSET, SYNSETS)
    assert time.process_time() - started < 1


# Archives that unpack to too much ------------------------------------------------------------------------------------


def write_gzip(path: Path, chunks: Iterator[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=9) as file:
        for chunk in chunks:
            file.write(chunk)
    return path


def members(count: int, contents: bytes = b"") -> Iterator[bytes]:
    """Yield a tar of numbered annotations, a member each."""
    for number in range(count):
        member = tarfile.TarInfo(f"{SYNSET}/{SYNSET}_{number}.xml")
        member.size = len(contents)
        yield member.tobuf(tarfile.USTAR_FORMAT) + contents + bytes(-len(contents) % 512)
    yield bytes(1024)


def large_member(size: int) -> Iterator[bytes]:
    member = tarfile.TarInfo(f"{SYNSET}/{SYNSET}_1.xml")
    member.size = size
    yield member.tobuf(tarfile.GNU_FORMAT)
    yield from (bytes(MEGABYTES) for _ in range(min(size // MEGABYTES, 200)))


BOMBS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "a large member": (lambda: large_member(200 * MEGABYTES), f"{SYNSET}_1.xml.* 209,715,200 bytes"),
    "a member of 8 GiB": (lambda: large_member((1 << 33) - 1), f"{SYNSET}_1.xml.* 8,589,934,591 bytes"),
    "100,000 empty members": (lambda: members(100_000), "100000 malformed"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_archive_that_unpacks_to_too_much_is_refused_with_little_memory(tmp_path: Path, bomb: str) -> None:
    make, reason = BOMBS[bomb]
    path = write_gzip(tmp_path / "boxes.tar.gz", make())
    cost = cost_of("tests.dataset.test_hostile_annotations:write_boxes", path)
    assert cost.memory < 300 * MEGABYTES, cost
    assert re.match(f"{path}: .*{reason}", cost.error), cost


def test_many_boxes_take_little_memory(tmp_path: Path) -> None:
    xml = annotation(*[xml_box(0, 0, 250, 200)] * 7000)
    path = write_gzip(tmp_path / "boxes.tar.gz", members(30, xml))
    cost = cost_of("tests.dataset.test_hostile_annotations:write_boxes", path)
    assert (cost.error, cost.memory < 300 * MEGABYTES) == ("", True)


def write_boxes(archive: Path) -> None:
    """Write the CSV of an archive's boxes."""
    write_csv(official.annotations_in(archive), SYNSETS, archive, archive.with_suffix(".csv"))


# The bounds, made smaller --------------------------------------------------------------------------------------------


def test_more_annotations_than_there_are_training_images_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gzip(tmp_path / "boxes.tar.gz", members(4, annotation()))
    monkeypatch.setattr(official, "_MAX_ANNOTATIONS", 4)
    write_boxes(path)
    monkeypatch.setattr(official, "_MAX_ANNOTATIONS", 3)
    with pytest.raises(ArchiveError, match=f"{path}: .*more than 3 annotations"):
        write_boxes(path)


def test_more_boxes_than_can_be_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gzip(tmp_path / "boxes.tar.gz", members(2, annotation(*[xml_box(0, 0, 250, 200)] * 2)))
    monkeypatch.setattr(boxes, "_MAX_BOXES", 4)
    write_boxes(path)
    monkeypatch.setattr(boxes, "_MAX_BOXES", 3)
    with pytest.raises(AnnotationError, match=f"{path}: .*more than 3 boxes"):
        write_boxes(path)


@pytest.mark.parametrize("place", ["in folders", "after the end"])
def test_more_bytes_than_can_be_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    before = [folder.tobuf(tarfile.USTAR_FORMAT)] * 20 if place == "in folders" else []
    after = [bytes(1 << 14)] if place == "after the end" else []
    chunks = itertools.chain(before, members(1, annotation()), after)
    path = write_gzip(tmp_path / "boxes.tar.gz", chunks)
    write_boxes(path)
    monkeypatch.setattr(tar, "_MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(ArchiveError, match=f"{path}: .*more than 10,000 bytes"):
        write_boxes(path)
