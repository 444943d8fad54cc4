from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.annotations import AnnotationError
from luigi_ilsvrc.dataset.boxes import read_csv
from luigi_ilsvrc.formats.plan import PlannedImage, plan_file, read_plan, write_plan
from luigi_ilsvrc.layouts.index import ImageLocation, index_file, write_index
from luigi_ilsvrc.layouts.tar import ArchiveError

SYNSET = "n01440764"
WORDS = 'tench, "Tinca tinca"'
LOCATION = ImageLocation(f"{SYNSET}_10.JPEG", SYNSET, "training_images.tar", 1536, 1200)
BOX = "0.1000,0.2000,0.5000,1.0000"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The plan of one shard of one image."""
    index, csv, directory = tmp_path / "index", tmp_path / "boxes.csv", tmp_path / "plan"
    index.mkdir()
    directory.mkdir()
    write_index([LOCATION], [SYNSET], index)
    csv.write_text(f"{LOCATION.name},{BOX}\n")
    write_plan(index, {SYNSET: WORDS}, csv, 1, directory)
    return directory


def change(plan: Path, old: str, new: str) -> Path:
    path = plan / plan_file(0)
    contents = path.read_text()
    assert contents.count(old) == 1
    path.write_bytes(contents.replace(old, new).encode("utf-8", "surrogateescape"))
    return path


# Plans ---------------------------------------------------------------------------------------------------------------


def test_a_plan_is_read_back(plan: Path) -> None:
    assert read_plan(plan, 0) == [PlannedImage(LOCATION, 1, WORDS, [(0.1, 0.2, 0.5, 1.0)])]


def test_a_plan_without_images_has_its_header(tmp_path: Path, plan: Path) -> None:
    write_plan(tmp_path / "index", {SYNSET: WORDS}, tmp_path / "boxes.csv", 2, plan)
    assert [len(read_plan(plan, shard)) for shard in (0, 1)] == [0, 1]


def test_a_missing_plan_is_named_with_the_remedy(plan: Path) -> None:
    with pytest.raises(ArchiveError, match=f"^{plan}/00007.csv: .*delete the index folder and run the build again"):
        read_plan(plan, 7)


@pytest.mark.parametrize("size", [0, 1, 20, -1, -2, -10])
def test_a_cut_plan_is_refused(plan: Path, size: int) -> None:
    path = plan / plan_file(0)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ArchiveError, match=f"^{path}: .*delete the index folder"):
        read_plan(plan, 0)


WRONG = {
    "negative offset": ("1536", "-1536"),
    "no number": ("1536", "1_536"),
    "a path": (f"{SYNSET}_10.JPEG,", "../../escaped.JPEG,"),
    "an absolute file": ("training_images.tar", "/etc/passwd"),
    "a file above": ("training_images.tar", "../escaped.tar"),
    "a label of 0": (",1200,1,", ",1200,0,"),
    "a label that is no number": (",1200,1,", ",1200,\u0661,"),
    "a quote that does not end": ('""",', '"",'),
    "a field more": ('""",', '""",0,'),
    "a box of three": (" 1.0000", ""),
    "a box of five": (" 1.0000", " 1.0000 1.0000"),
    "a box that is no number": ("0.1000", "nan"),
    "an empty box": ("0.1000", ";0.1000"),
    "an empty line": (f"{SYNSET}_10.JPEG,", f"\n{SYNSET}_10.JPEG,"),
}


@pytest.mark.parametrize(("old", "new"), WRONG.values(), ids=WRONG)
def test_a_wrong_line_is_named_with_the_file(plan: Path, old: str, new: str) -> None:
    path = change(plan, old, new)
    with pytest.raises(ArchiveError, match=f"^{path}:2: .*delete the index folder"):
        read_plan(plan, 0)


def test_a_plan_that_is_not_utf_8_is_refused(plan: Path) -> None:
    path = change(plan, "tench", "\udcff")
    with pytest.raises(ArchiveError, match=f"^{path}: .*UTF-8"):
        read_plan(plan, 0)


def test_no_plan_is_made_of_a_damaged_index(tmp_path: Path, plan: Path) -> None:
    index = tmp_path / "index" / index_file(SYNSET)
    index.write_bytes(index.read_bytes()[:-2])
    with pytest.raises(ArchiveError, match=f"^{index}: "):
        write_plan(tmp_path / "index", {SYNSET: WORDS}, tmp_path / "boxes.csv", 1, plan)


# The CSV of boxes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "line"),
    [
        (f"a.JPEG,{BOX}", 1),
        (f"a.JPEG,{BOX}\nb.JPEG,0.1000,0.2", 2),
        (f"a.JPEG,{BOX}\nb.JPEG,0.1000,0.2\n", 2),
        (f"a.JPEG,{BOX},0.1000\n", 1),
        ("a.JPEG,0.1000,0.2000,nan,1.0000\n", 1),
        ("a.JPEG,0.1000,0.2000,-0.5000,1.0000\n", 1),
        ("a.JPEG,0.1000,0.2000,2.0000,1.0000\n", 1),
        (f"../a.JPEG,{BOX}\n", 1),
        (f"a,{BOX}\n", 1),
        ("\n", 1),
        ("\0" * 4096, 1),
        (f"a.JPEG,{BOX}\r\n", 1),
    ],
)
def test_a_line_that_is_no_box_is_named_with_file_and_line(tmp_path: Path, contents: str, line: int) -> None:
    path = tmp_path / "bounding_boxes.csv"
    path.write_bytes(contents.encode())
    with pytest.raises(AnnotationError, match=f"^{path}:{line}: .*delete the file and run the build again"):
        read_csv(path)


def test_a_csv_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bounding_boxes.csv"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(AnnotationError, match=f"^{path}: .*UTF-8"):
        read_csv(path)


def test_annotations_without_boxes_give_a_csv_that_is_empty_and_read(tmp_path: Path) -> None:
    (tmp_path / "bounding_boxes.csv").touch()
    assert read_csv(tmp_path / "bounding_boxes.csv") == {}
