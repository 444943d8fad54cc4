from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset import synsets
from luigi_ilsvrc.dataset.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    LabelTables,
    TableError,
    official_form,
    read_class_names,
    read_synsets,
    read_validation_labels,
)

SYNSETS = ["n01440764", "n01443537", "n01484850"]


def table(directory: Path, text: str | bytes) -> Path:
    path = directory / "table.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_packaged_synsets_are_the_thousand_of_the_challenge_sorted() -> None:
    read = synsets.read_synsets(PACKAGED_TABLES / synsets.UNIQUE_SYNSETS)
    assert len(read) == 1000
    assert read == sorted(read)
    assert (read[0], read[-1]) == ("n01440764", "n15075141")


def test_the_packaged_validation_labels_are_fifty_of_each_synset() -> None:
    known = synsets.read_synsets(PACKAGED_TABLES / synsets.UNIQUE_SYNSETS)
    labels = synsets.read_validation_labels(PACKAGED_TABLES / synsets.VALIDATION_SYNSET_LABELS, known)
    assert labels[0] == "n01751748"
    assert Counter(labels) == dict.fromkeys(known, 50)


def test_the_packaged_english_has_words_for_each_synset_in_label_order() -> None:
    known = synsets.read_synsets(PACKAGED_TABLES / synsets.UNIQUE_SYNSETS)
    english = synsets.read_class_names(PACKAGED_TABLES / synsets.SYNSET_ENGLISH_KEY, known)
    assert list(english) == known
    assert english["n02105855"] == "Shetland sheepdog, Shetland sheep dog, Shetland"


def test_the_order_of_a_users_table_is_kept(tmp_path: Path) -> None:
    assert synsets.read_synsets(table(tmp_path, "n01484850\nn01440764\n")) == ["n01484850", "n01440764"]


def test_windows_line_ends_and_a_missing_last_one_are_read(tmp_path: Path) -> None:
    assert synsets.read_synsets(table(tmp_path, "n01440764\r\nn01443537")) == SYNSETS[:2]


@pytest.mark.parametrize("line", ["n0144076", "01440764", "n01440764 ", "n01440764\tfish", "", "tench"])
def test_a_malformed_synset_is_named_with_file_and_line(tmp_path: Path, line: str) -> None:
    path = table(tmp_path, f"n01443537\n{line}\nn01484850\n")
    with pytest.raises(TableError, match=f"^{path}:2: "):
        synsets.read_synsets(path)


def test_a_synset_that_is_there_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    path = table(tmp_path, "n01440764\nn01443537\nn01440764\n")
    with pytest.raises(TableError, match=f"^{path}:3: n01440764 .* 1 "):
        synsets.read_synsets(path)


def test_an_unknown_synset_among_validation_labels_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = table(tmp_path, "n01440764\nn99999999\n")
    with pytest.raises(TableError, match=f"^{path}:2: n99999999 "):
        synsets.read_validation_labels(path, SYNSETS)


def test_english_without_a_tab_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = table(tmp_path, "n01440764\ttench\nn01443537 goldfish\n")
    with pytest.raises(TableError, match=f"^{path}:2: "):
        synsets.read_class_names(path, SYNSETS)


def test_a_synset_without_english_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "n01440764\ttench\nn01443537\tgoldfish\n")
    with pytest.raises(TableError, match="n01484850"):
        synsets.read_class_names(path, SYNSETS)


def test_a_synset_with_english_twice_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = table(tmp_path, "n01440764\ttench\nn01440764\tTinca tinca\n")
    with pytest.raises(TableError, match=f"^{path}:2: n01440764 .* 1 "):
        synsets.read_class_names(path, SYNSETS)


def test_imagenets_own_key_of_all_its_synsets_is_read(tmp_path: Path) -> None:
    path = table(tmp_path, "n00004475\torganism, being\nn01443537\tgoldfish\nn01440764\ttench\n")
    assert synsets.read_class_names(path, SYNSETS[:2]) == {"n01440764": "tench", "n01443537": "goldfish"}


def test_a_table_that_is_not_text_is_named_with_its_line(tmp_path: Path) -> None:
    path = table(tmp_path, b"n01440764\n\xff\xfe\n")
    with pytest.raises(TableError, match=f"^{path}:2: "):
        synsets.read_synsets(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=f"^{tmp_path}/nowhere.txt: .*No such file"):
        synsets.read_synsets(tmp_path / "nowhere.txt")


def test_an_empty_table_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "")
    with pytest.raises(TableError, match=f"^{path}:1: .*empty"):
        synsets.read_synsets(path)


@given(numbers=st.lists(st.integers(0, 99_999_999), min_size=1, unique=True))
def test_any_table_of_distinct_synsets_is_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    written = [f"n{number:08}" for number in numbers]
    path = table(tmp_path_factory.mktemp("table"), "".join(f"{synset}\n" for synset in written))
    assert synsets.read_synsets(path) == written


# The three tables of a build -----------------------------------------------------------------------------------------


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    (tmp_path / "synsets").write_text("n01440764\nn01443537\n")
    (tmp_path / "labels").write_text("n01443537\nn01440764\nn01443537\n")
    (tmp_path / "english").write_text("n01443537\tgoldfish\nn01440764\ttench\n")
    return LabelTables(tmp_path / "synsets", tmp_path / "labels", tmp_path / "english")


def test_the_tables_of_a_build_are_read_from_their_files(tables: LabelTables) -> None:
    assert tables.synsets() == ["n01440764", "n01443537"]
    assert tables.validation_labels() == ["n01443537", "n01440764", "n01443537"]
    assert list(tables.class_names().items()) == [("n01440764", "tench"), ("n01443537", "goldfish")]


def test_a_table_that_has_changed_is_read_again(tables: LabelTables) -> None:
    assert len(tables.synsets()) == 2
    tables.unique_synsets.write_text("n01440764\n")
    assert tables.synsets() == ["n01440764"]


def test_who_changes_the_list_of_synsets_changes_nothing_for_others(tables: LabelTables) -> None:
    tables.synsets().clear()
    assert len(tables.synsets()) == 2


# Kaggle's files ------------------------------------------------------------------------------------------------------

MAPPING = "n01440764 tench, Tinca tinca\nn01443537 goldfish\n"
SOLUTION = (
    "ImageId,PredictionString\n"
    "ILSVRC2012_val_00000002,n01443537 1 2 3 4 \n"
    "ILSVRC2012_val_00000001,n01440764 5 6 7 8 n01440764 1 2 3 4 \n"
)


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "LOC_synset_mapping.txt"
    path.write_text(MAPPING)
    return path


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    path = tmp_path / "LOC_val_solution.csv"
    path.write_text(SOLUTION)
    return path


def test_kaggles_mapping_gives_the_synsets_and_their_words(mapping: Path) -> None:
    assert read_synsets(mapping) == ["n01440764", "n01443537"]
    words = {"n01440764": "tench, Tinca tinca", "n01443537": "goldfish"}
    assert read_class_names(mapping, list(words)) == words


def test_kaggles_solution_gives_the_first_synset_of_each_image_in_the_order_of_the_images(solution: Path) -> None:
    assert read_validation_labels(solution, ["n01440764", "n01443537"]) == ["n01440764", "n01443537"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SOLUTION.replace("00000002", "00000003"), "3: the table ends without a line for ILSVRC2012_val_00000002"),
        (SOLUTION.replace("00000002", "00000001"), "3: validation image 1 stands in line 2 already"),
        (SOLUTION.replace(",n01443537", ";n01443537"), "2: .* is not 'ILSVRC2012_val_"),
        (SOLUTION.replace("n01440764 5", "n02105855 5"), "3: n02105855 is not in the table of synsets"),
        ("ImageId,PredictionString\n", "without a line for ILSVRC2012_val_00000001"),
    ],
)
def test_a_damaged_solution_is_named_with_its_line(solution: Path, text: str, reason: str) -> None:
    solution.write_text(text)
    with pytest.raises(TableError, match=f"{solution}:.*{reason}|{solution}:{reason}"):
        read_validation_labels(solution, ["n01440764", "n01443537"])


def test_a_damaged_mapping_is_named_with_its_line(mapping: Path) -> None:
    mapping.write_text(MAPPING + "goldfish\n")
    for read in (read_synsets, lambda path: read_class_names(path, ["n01440764"])):
        with pytest.raises(TableError, match=f"{mapping}:3: 'goldfish' is not '<synset> <words>'"):
            read(mapping)


def test_kaggles_files_in_the_official_form_are_the_official_tables(mapping: Path, solution: Path) -> None:
    assert official_form(UNIQUE_SYNSETS, mapping) == b"n01440764\nn01443537\n"
    assert official_form(SYNSET_ENGLISH_KEY, mapping) == b"n01440764\ttench, Tinca tinca\nn01443537\tgoldfish\n"
    assert official_form(VALIDATION_SYNSET_LABELS, solution) == b"n01440764\nn01443537\n"


def test_an_official_or_damaged_table_is_its_own_official_form(mapping: Path) -> None:
    for text in (b"n01440764\nn01443537", MAPPING.encode() + b"goldfish\n", b"\xff"):
        mapping.write_bytes(text)
        assert official_form(UNIQUE_SYNSETS, mapping) == text
