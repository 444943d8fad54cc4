from collections.abc import Mapping
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.annotations import Annotation, AnnotationError
from luigi_ilsvrc.dataset.boxes import DETAILS, read_csv, write_csv
from luigi_ilsvrc.layouts import class_folders, official
from tests.dataset.xml import SYNSET, SYNSETS, annotation, xml_box

SOURCE = Path("boxes.tar.gz")


def write(directory: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write the CSV of annotations, given by the names of their images; return its lines."""
    csv = directory / "bounding_boxes.csv"
    write_csv((Annotation(image.split("_")[0], image, xml) for image, xml in files.items()), SYNSETS, SOURCE, csv)
    return csv.read_text().splitlines()


# Written -------------------------------------------------------------------------------------------------------------


def test_the_csv_has_no_header_and_four_decimals(tmp_path: Path) -> None:
    files = {f"{SYNSET}_1": annotation(xml_box(1, 2, 333, 399), width=333)}
    assert write(tmp_path, files) == [f"{SYNSET}_1.JPEG,0.0030,0.0050,1.0000,0.9975"]


def test_the_csv_is_sorted_by_file_name_with_the_boxes_of_a_file_in_document_order(tmp_path: Path) -> None:
    files = {
        f"{SYNSET}_2": annotation(xml_box(100, 0, 500, 400), xml_box(50, 0, 500, 400)),
        f"{SYNSET}_10": annotation(xml_box(0, 0, 500, 400)),
        "n01440764_9": annotation(xml_box(150, 0, 500, 400, name="n01440764")),
    }
    assert [line.split(",")[:2] for line in write(tmp_path, files)] == [
        ["n01440764_9.JPEG", "0.3000"],
        [f"{SYNSET}_10.JPEG", "0.0000"],
        [f"{SYNSET}_2.JPEG", "0.2000"],
        [f"{SYNSET}_2.JPEG", "0.1000"],
    ]


def test_the_images_name_is_the_xml_files_own(tmp_path: Path) -> None:
    files = {f"{SYNSET}_7": annotation(xml_box(0, 0, 500, 400), filename="%s")}
    assert write(tmp_path, files) == [f"{SYNSET}_7.JPEG,0.0000,0.0000,1.0000,1.0000"]


def test_synsets_outside_the_challenge_are_skipped_even_if_malformed(tmp_path: Path) -> None:
    files = {"n00007846_1": b"", f"{SYNSET}_1": annotation(xml_box(0, 0, 500, 400))}
    assert [line.split(",")[0] for line in write(tmp_path, files)] == [f"{SYNSET}_1.JPEG"]


def test_an_image_without_boxes_has_no_line(tmp_path: Path) -> None:
    assert write(tmp_path, {f"{SYNSET}_1": annotation()}) == []


# What was read -------------------------------------------------------------------------------------------------------


def details(directory: Path, files: Mapping[str, bytes]) -> list[str]:
    """Return the details of annotations, given by the names of their images, without the header."""
    annotations = (Annotation(image.split("_")[0], image, xml) for image, xml in files.items())
    header, *lines = write_csv(annotations, SYNSETS, SOURCE, directory / "csv").splitlines()
    assert header == ",".join(DETAILS)
    return lines


GOOD = xml_box(0, 0, 500, 400)
EMPTY = xml_box(7, 0, 7, 400)
OTHER = xml_box(0, 0, 500, 400, name="n01440764")


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], "0,"),
        ([GOOD, GOOD], "2,"),
        ([GOOD, EMPTY], "1,no_extent:1"),
        ([GOOD, "<object><name>n02105855</name></object>"], "1,no_extent:1"),
        ([GOOD, OTHER, EMPTY, OTHER], "1,no_extent:1 other_synset:2"),
        ([OTHER, GOOD, GOOD], "0,after_other_synset:3"),
        ([xml_box(0, 0, 500, 400, name="Scottish_deerhound")], "1,other_name:1"),
        ([xml_box(500, 0, 0, 400), xml_box(0, 400, 500, 0)], "2,swapped:2"),
        ([xml_box(-1, 0, 500, 400), xml_box(0, 0, 500, 401)], "2,clamped:2"),
        ([xml_box(600, 0, 700, 400)], "0,clamped:1 no_extent:1"),
        ([xml_box("0.5", 0, 500, 400)], "1,fractional:1"),
    ],
)
def test_the_details_count_the_boxes_that_are_kept_and_what_is_unusual(
    tmp_path: Path, objects: list[str], expected: str
) -> None:
    assert details(tmp_path, {f"{SYNSET}_1": annotation(*objects)}) == [f"{SYNSET}_1,500,400,{expected}"]


def test_the_details_tell_of_a_file_that_does_not_name_its_image(tmp_path: Path) -> None:
    assert details(tmp_path, {f"{SYNSET}_1": annotation(filename="%s")}) == [f"{SYNSET}_1,500,400,0,unnamed:1"]


def test_the_details_count_the_files_of_synsets_outside_the_challenge(tmp_path: Path) -> None:
    files = {"n00007846_1": b"", f"{SYNSET}_1": annotation(), "n00007846_2": b"", "n00000001_1": b""}
    assert details(tmp_path, files) == [f"{SYNSET}_1,500,400,0,", "n00000001,,,,outside:1", "n00007846,,,,outside:2"]


def test_the_details_are_sorted_in_whichever_order_the_files_come(tmp_path: Path) -> None:
    files = {f"{SYNSET}_{number}": annotation(GOOD) for number in (3, 1, 2)}
    assert details(tmp_path, files) == [f"{SYNSET}_{number},500,400,1," for number in (1, 2, 3)]


def test_all_malformed_annotations_are_counted_and_the_first_ten_named(tmp_path: Path) -> None:
    files = {f"{SYNSET}_{number}": b"<" for number in range(12)}
    with pytest.raises(AnnotationError) as raised:
        write(tmp_path, files)
    first, *named = str(raised.value).splitlines()
    assert first.startswith(f"{SOURCE}: 12 ")
    assert [line.split(":")[0].strip() for line in named[:-1]] == [
        f"{SYNSET}/{image}.xml" for image in list(files)[:10]
    ]
    assert "2 more" in named[-1]


def test_nothing_is_written_if_an_annotation_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError):
        write(tmp_path, {f"{SYNSET}_1": annotation(xml_box(0, 0, 500, 400)), f"{SYNSET}_2": b"<"})
    assert not (tmp_path / "bounding_boxes.csv").exists()


def test_the_progress_counts_files(tmp_path: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    annotations = (Annotation(SYNSET, f"{SYNSET}_{number}", annotation()) for number in range(2100))
    write_csv(annotations, SYNSETS, SOURCE, tmp_path / "csv", lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(1000, None, "files"), (2000, None, "files")]


def test_extracted_annotations_give_the_same_csv_as_the_archive(tmp_path: Path, ilsvrc: Path, built: Path) -> None:
    archive, folders = ilsvrc / "ILSVRC2012_bbox_train_v2.tar.gz", built / "ilsvrc2012" / "training_bounding_boxes"
    table = (ilsvrc / "unique_synsets.txt").read_text().split()
    write_csv(official.annotations_in(archive), table, archive, tmp_path / "a.csv")
    write_csv(class_folders.annotations_in(folders), table, folders, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text() != ""


# Read ----------------------------------------------------------------------------------------------------------------


def test_the_boxes_of_each_image_are_read_back_in_their_order(tmp_path: Path) -> None:
    boxes = (xml_box(100, 0, 500, 400), xml_box(50, 0, 500, 400))
    write(tmp_path, {f"{SYNSET}_2": annotation(*boxes), f"{SYNSET}_1": annotation(boxes[0])})
    assert read_csv(tmp_path / "bounding_boxes.csv") == {
        f"{SYNSET}_1.JPEG": ["0.2000,0.0000,1.0000,1.0000"],
        f"{SYNSET}_2.JPEG": ["0.2000,0.0000,1.0000,1.0000", "0.1000,0.0000,1.0000,1.0000"],
    }


def test_an_empty_csv_has_no_boxes(tmp_path: Path) -> None:
    write(tmp_path, {})
    assert read_csv(tmp_path / "bounding_boxes.csv") == {}
