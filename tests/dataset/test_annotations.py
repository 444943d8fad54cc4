from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.annotations import Box, parse_annotation
from tests.dataset.xml import SYNSET, SYNSETS, annotation, xml_box


def parse(*objects: str, **size: object) -> list[Box]:
    return parse_annotation(annotation(*objects, **size), SYNSET, SYNSETS).boxes


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
        (b"", "XML"),
        (b"not XML", "XML"),
        (annotation(xml_box(0, 0, 1, 1))[:-5], "XML"),
        ("<annotation>\xe9</annotation>".encode("latin-1"), "XML"),
        (b"<annotation/>", "no <size/width>"),
        (annotation(xml_box(0, 0, 1, 1), width=0), "its size is 0 x 400"),
        (annotation(xml_box(0, 0, 1, 1), width=""), "no <size/width>"),
        (annotation(xml_box(0, 0, 1, 1), height="-3"), "its size is 500 x -3"),
        (annotation(xml_box(0, 0, 1, 1), height="nan"), "<height> is 'nan'"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + annotation(), "XML.*[Ee]ncoding"),
        (
            b'<?xml version="1.0" encoding="utf-8"?>' + annotation(filename="\xe9").replace(b"\xc3", b""),
            "XML",
        ),
        (annotation(filename="x" * 10_000_001), "XML"),
        (b"<annotation>" * 1000, "XML"),
        (annotation(xml_box(0, 0, 1, 1), width="wide"), "<width> is 'wide'"),
        (annotation(xml_box("nan", 0, 1, 1)), "<xmin> is 'nan'"),
        (annotation(xml_box(0, "inf", 1, 1)), "<ymin> is 'inf'"),
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
    with pytest.raises(ValueError, match="XML"):
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
