from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset import synsets
from luigi_ilsvrc.dataset.synsets import PACKAGED_TABLES, LabelTables, TableError

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
