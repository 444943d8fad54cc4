import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc import boxes
from luigi_ilsvrc.boxes import AnnotationError, Box, parse_annotation
from luigi_ilsvrc.tar_index import ArchiveError

SYNSET = "n02105855"
SYNSETS = ["n01440764", SYNSET]


def xml_box(xmin: object, ymin: object, xmax: object, ymax: object, name: str = SYNSET) -> str:
    return (
        f"<object><name>{name}</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
    )


def annotation(*objects: str, width: object = 500, height: object = 400, filename: str = f"{SYNSET}_1") -> bytes:
    return (
        f"<annotation><folder>{SYNSET}</folder><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    ).encode()


def parse(*objects: str, **size: object) -> list[Box]:
    return parse_annotation(annotation(*objects, **size), SYNSET, SYNSETS)  # type: ignore[arg-type]


def write_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, xml in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(xml)
            tar.addfile(member, io.BytesIO(xml))
    path.write_bytes(gzip.compress(buffer.getvalue()))
    return path


def write_csv(directory: Path, files: Mapping[str, bytes]) -> list[str]:
    archive = write_archive(directory / "boxes.tar.gz", files)
    csv = directory / "bounding_boxes.csv"
    boxes.write_csv(boxes.annotations_in_archive(archive), SYNSETS, archive, csv)
    return csv.read_text().splitlines()


# The rules -----------------------------------------------------------------------------------------------------------


def test_a_box_is_relative_to_the_size_written_in_the_xml() -> None:
    assert parse(xml_box(50, 40, 250, 400), width=500, height=400) == [Box(0.1, 0.1, 0.5, 1.0)]


def test_coordinates_that_are_floats_are_truncated_towards_zero() -> None:
    assert parse(xml_box("50.9", "40.2", "250.999", "4e2")) == parse(xml_box(50, 40, 250, 400))
    assert parse(xml_box("-0.9", 0, 250, 400)) == parse(xml_box(0, 0, 250, 400))


def test_swapped_minimum_and_maximum_are_put_right() -> None:
    assert parse(xml_box(250, 400, 50, 40)) == parse(xml_box(50, 40, 250, 400))


def test_what_lies_outside_is_clamped() -> None:
    assert parse(xml_box(-10, -1, 620, 401)) == [Box(0.0, 0.0, 1.0, 1.0)]


def test_a_box_without_width_or_height_is_dropped_and_the_others_stay() -> None:
    assert parse(xml_box(40, 40, 40, 80), xml_box(1, 80, 9, 80), xml_box(0, 0, 250, 200)) == [Box(0, 0, 0.5, 0.5)]


def test_a_box_wholly_outside_is_dropped() -> None:
    assert parse(xml_box(501, 402, 600, 500)) == []


def test_a_box_named_after_another_challenge_synset_is_dropped() -> None:
    assert parse(xml_box(0, 0, 250, 200), xml_box(0, 0, 50, 40, name="n01440764")) == [Box(0, 0, 0.5, 0.5)]


def test_a_file_whose_first_box_is_named_after_another_challenge_synset_gives_none() -> None:
    assert parse(xml_box(0, 0, 50, 40, name="n01440764"), xml_box(0, 0, 250, 200)) == []


@pytest.mark.parametrize("name", ["Scottish_deerhound", "n00007846", ""])
def test_a_box_with_any_other_name_is_kept(name: str) -> None:
    assert parse(xml_box(0, 0, 250, 200, name=name)) == [Box(0, 0, 0.5, 0.5)]


def test_boxes_come_in_document_order() -> None:
    assert [box.xmin for box in parse(*(xml_box(x, 0, 500, 400) for x in (300, 100, 200)))] == [0.6, 0.2, 0.4]


def test_an_annotation_without_boxes_gives_none() -> None:
    assert parse() == []


@given(
    corners=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 4), max_size=5),
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
)
def test_every_box_has_an_area_inside_the_image(
    corners: list[tuple[float, float, float, float]], width: int, height: int
) -> None:
    for box in parse(*(xml_box(*corner) for corner in corners), width=width, height=height):
        assert 0 <= box.xmin < box.xmax <= 1
        assert 0 <= box.ymin < box.ymax <= 1


# Malformed annotations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "no well-formed XML"),
        (b"not XML", "no well-formed XML"),
        (annotation(xml_box(0, 0, 1, 1))[:-5], "no well-formed XML"),
        ("<annotation>\xe9</annotation>".encode("latin-1"), "no well-formed XML"),
        (b"<annotation/>", "no <size/width>"),
        (annotation(xml_box(0, 0, 1, 1), width=0), "its size is 0 x 400"),
        (annotation(xml_box(0, 0, 1, 1), width=""), "no <size/width>"),
        (annotation(xml_box(0, 0, 1, 1), height="-3"), "its size is 500 x -3"),
        (annotation(xml_box(0, 0, 1, 1), height="nan"), "<height> is 'nan', not a number"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + annotation(), "no well-formed XML: Unsupported encoding"),
        (
            b'<?xml version="1.0" encoding="utf-8"?>' + annotation(filename="\xe9").replace(b"\xc3", b""),
            "no well-formed",
        ),
        (annotation(filename="x" * 10_000_001), "no well-formed XML: Resource limit exceeded"),
        (b"<annotation>" * 1000, "no well-formed XML: Excessive depth"),
        (annotation(xml_box(0, 0, 1, 1), width="wide"), "<width> is 'wide', not a number"),
        (annotation(xml_box("nan", 0, 1, 1)), "<xmin> is 'nan', not a number"),
        (annotation(xml_box(0, "inf", 1, 1)), "<ymin> is 'inf', not a number"),
        (annotation(xml_box(0, 0, 1, 1).replace(b"<ymax>1</ymax>".decode(), "")), "no <bndbox/ymax>"),
    ],
)
def test_a_malformed_annotation_says_why(xml: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_annotation(xml, SYNSET, SYNSETS)


def test_a_reason_does_not_repeat_megabytes() -> None:
    with pytest.raises(ValueError, match="<width> is '99999") as raised:
        parse_annotation(annotation(width="9" * 9_000_000), SYNSET, SYNSETS)
    assert len(str(raised.value)) < 100


def test_ten_megabytes_of_text_in_a_good_annotation_do_no_harm() -> None:
    assert parse(xml_box(0, 0, 250, 200), filename="x" * 9_000_000) == [Box(0, 0, 0.5, 0.5)]


def test_an_entity_bomb_in_an_attribute_is_refused() -> None:
    bomb = "".join(f'<!ENTITY b{i} "{f"&b{i - 1};" * 10}">' for i in range(1, 9))
    xml = f'<!DOCTYPE a [<!ENTITY b0 "5">{bomb}]><annotation x="&b8;"/>'.encode()
    with pytest.raises(ValueError, match="no well-formed XML"):
        parse_annotation(xml, SYNSET, SYNSETS)


def test_an_entity_bomb_and_an_external_entity_are_not_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("500")
    bomb = "".join(f'<!ENTITY b{i} "{f"&b{i - 1};" * 10}">' for i in range(1, 9))
    for entity, declaration in (("b8", f'<!ENTITY b0 "5">{bomb}'), ("file", f'<!ENTITY file SYSTEM "{secret}">')):
        xml = annotation(width=f"&{entity};")
        with pytest.raises(ValueError):
            parse_annotation(f"<!DOCTYPE a [{declaration}]>".encode() + xml, SYNSET, SYNSETS)


@given(xml=st.binary())
def test_any_bytes_give_boxes_or_a_reason(xml: bytes) -> None:
    try:
        parse_annotation(xml, SYNSET, SYNSETS)
    except ValueError as error:
        assert str(error)


# The CSV -------------------------------------------------------------------------------------------------------------


def test_the_csv_has_no_header_and_four_decimals(tmp_path: Path) -> None:
    files = {f"{SYNSET}/{SYNSET}_1.xml": annotation(xml_box(1, 2, 333, 399), width=333)}
    assert write_csv(tmp_path, files) == [f"{SYNSET}_1.JPEG,0.0030,0.0050,1.0000,0.9975"]


def test_the_csv_is_sorted_by_file_name_with_the_boxes_of_a_file_in_document_order(tmp_path: Path) -> None:
    files = {
        f"{SYNSET}/{SYNSET}_2.xml": annotation(xml_box(100, 0, 500, 400), xml_box(50, 0, 500, 400)),
        f"{SYNSET}/{SYNSET}_10.xml": annotation(xml_box(0, 0, 500, 400)),
        "n01440764/n01440764_9.xml": annotation(xml_box(150, 0, 500, 400, name="n01440764")),
    }
    assert [line.split(",")[:2] for line in write_csv(tmp_path, files)] == [
        ["n01440764_9.JPEG", "0.3000"],
        [f"{SYNSET}_10.JPEG", "0.0000"],
        [f"{SYNSET}_2.JPEG", "0.2000"],
        [f"{SYNSET}_2.JPEG", "0.1000"],
    ]


def test_the_images_name_is_the_xml_files_own(tmp_path: Path) -> None:
    files = {f"{SYNSET}/{SYNSET}_7.xml": annotation(xml_box(0, 0, 500, 400), filename="%s")}
    assert write_csv(tmp_path, files) == [f"{SYNSET}_7.JPEG,0.0000,0.0000,1.0000,1.0000"]


def test_synsets_outside_the_challenge_are_skipped_even_where_malformed(tmp_path: Path) -> None:
    files = {"n00007846/n00007846_1.xml": b"", f"{SYNSET}/{SYNSET}_1.xml": annotation(xml_box(0, 0, 500, 400))}
    assert len(write_csv(tmp_path, files)) == 1


def test_all_malformed_annotations_are_counted_and_the_first_ten_named(tmp_path: Path) -> None:
    files = {f"{SYNSET}/{SYNSET}_{number}.xml": b"<" for number in range(12)}
    with pytest.raises(AnnotationError) as raised:
        write_csv(tmp_path, files)
    message = str(raised.value)
    assert f"{tmp_path}/boxes.tar.gz: 12 malformed annotations" in message
    assert message.count("no well-formed XML") == 10
    assert message.endswith("and 2 more")


def test_extracted_annotations_give_the_same_csv_as_the_archive(tmp_path: Path, ilsvrc: Path) -> None:
    archive = ilsvrc / "ILSVRC2012_bbox_train_v2.tar.gz"
    folders = tmp_path / "training_bounding_boxes"
    folders.mkdir()
    boxes.extract_annotations(archive, folders)
    table = (ilsvrc / "unique_synsets.txt").read_text().split()
    boxes.write_csv(boxes.annotations_in_archive(archive), table, archive, tmp_path / "a.csv")
    boxes.write_csv(boxes.annotations_in_folders(folders), table, folders, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text() != ""


def test_extraction_keeps_every_byte(tmp_path: Path) -> None:
    files = {f"{SYNSET}/{SYNSET}_1.xml": b"<a/>", "n00007846/n00007846_1.xml": b"<b/>\r\n"}
    folders = tmp_path / "training_bounding_boxes"
    folders.mkdir()
    boxes.extract_annotations(write_archive(tmp_path / "boxes.tar.gz", files), folders)
    assert {str(path.relative_to(folders)): path.read_bytes() for path in folders.rglob("*.xml")} == files


@pytest.mark.parametrize("name", ["../n02105855_1.xml", "/n02105855/n02105855_1.xml", "n02105855/../x.xml", "readme"])
def test_a_member_of_another_shape_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="is not named <synset>/<synset>_<n>.xml"):
        write_csv(tmp_path, {name: annotation()})


def test_an_archive_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="there is no annotation"):
        write_csv(tmp_path, {})


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Annotation" / "n02105855").mkdir(parents=True)
    (tmp_path / ".DS_Store").touch()
    with pytest.raises(ArchiveError, match=f"^{tmp_path}: there is no <synset>/<synset>_<n>.xml"):
        list(boxes.annotations_in_folders(tmp_path))
