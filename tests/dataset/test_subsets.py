"""Subsets: the packaged lists, the names that they give to folders, and lists of one's own, also hostile ones."""

import hashlib
import lzma
import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset import subsets
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.subsets import (
    ALL,
    MAX_BYTES,
    PACKAGED,
    Subset,
    SubsetError,
    parse_subset,
    read_subset,
    subset_name,
)
from luigi_ilsvrc.dataset.synsets import PACKAGED_TABLES, UNIQUE_SYNSETS, read_synsets

TENCH, GOLDFISH = "n01440764", "n01443537"
IMAGE, OTHER_IMAGE = f"{TENCH}_10026.JPEG", f"{GOLDFISH}_2.JPEG"
VALIDATION_IMAGE = "ILSVRC2012_val_00000001.JPEG"

SHA256 = {
    "1percent": "c03b85c3942f663c123a38b0d7a0eecb01730a1e96bd97384f0f3e60c6f3397c",
    "10percent": "d9bc1445836f11cbba81b22781ccafab15a3a6a31dd14e22e6cf7617e1ee3f68",
    "imagenet100": "5ee5db69d488bb799a286d8e181801c3d02798776c1ce9203e5450f64e086e07",
}
"""Of the lists as text, before they were packaged."""


def write(directory: Path, content: str | bytes) -> Path:
    path = directory / "mine.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parse(text: str | bytes) -> Subset:
    return parse_subset(text.encode() if isinstance(text, str) else text, "mine", "mine.txt")


# The packaged lists --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packaged() -> dict[str, Subset]:
    return {name: read_subset(name) for name in PACKAGED}


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_list_is_byte_for_byte_the_one_it_was_made_from(name: str, packaged: dict[str, Subset]) -> None:
    assert hashlib.sha256(packaged[name].serialize()).hexdigest() == SHA256[name]
    assert packaged[name].digest == SHA256[name]


def test_the_packaged_lists_have_the_published_numbers_of_images_and_synsets(packaged: dict[str, Subset]) -> None:
    sizes = {name: (len(subset.images), len(subset.synsets)) for name, subset in packaged.items()}
    assert sizes == {"1percent": (12_811, 0), "10percent": (128_116, 0), "imagenet100": (0, 100)}


def test_one_percent_is_a_part_of_ten_percent(packaged: dict[str, Subset]) -> None:
    assert packaged["1percent"].images.keys() < packaged["10percent"].images.keys()


@pytest.mark.parametrize("name", PACKAGED)
def test_the_synsets_of_a_packaged_list_are_in_the_packaged_table(name: str, packaged: dict[str, Subset]) -> None:
    packaged[name].check_synsets(read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS))


def test_the_percentages_have_images_of_every_synset(packaged: dict[str, Subset]) -> None:
    known = read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS)
    for name in ("1percent", "10percent"):
        assert {image.partition("_")[0] for image in packaged[name].images} == set(known)


def test_a_packaged_name_is_the_name_and_place_of_its_subset(packaged: dict[str, Subset]) -> None:
    assert [(subset.name, subset.where) for subset in packaged.values()] == [(name, name) for name in PACKAGED]


def test_a_packaged_name_means_the_packaged_list_even_beside_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagenet100").write_text(TENCH)
    monkeypatch.chdir(tmp_path)
    assert len(read_subset("imagenet100").synsets) == 100


@pytest.mark.parametrize("damage", [b"", b"not xz", "cut"])
def test_a_damaged_packaged_list_says_that_the_package_must_be_installed_anew(
    damage: bytes | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "imagenet100.txt.xz"
    path.write_bytes(damage if isinstance(damage, bytes) else lzma.compress(f"{TENCH}\n".encode() * 9)[:-20])
    monkeypatch.setattr(subsets, "_PACKAGED_LISTS", tmp_path)
    with pytest.raises(SubsetError, match=f"^{path}: .*install the package anew$"):
        read_subset("imagenet100")


def test_a_missing_packaged_list_says_that_the_package_must_be_installed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subsets, "_PACKAGED_LISTS", tmp_path)
    with pytest.raises(SubsetError, match=f"^{tmp_path}/1percent.txt.xz: .*No such file.*install the package anew$"):
        read_subset("1percent")


def test_a_python_without_lzma_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(SubsetError, match="this Python has no module lzma"):
        read_subset("imagenet100")


def test_a_list_of_ones_own_is_read_by_a_python_without_lzma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzma", None)
    assert list(read_subset(str(write(tmp_path, TENCH))).synsets) == [TENCH]


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("10percent", "10percent"),
        ("mine.txt", "mine"),
        ("mine", "mine"),
        ("/some/where/dogs_v1.2.txt", "dogs_v1.2"),
        ("short256/dogs.txt", "dogs"),
        ("short.txt", "short"),
        ("max-dogs.txt", "max-dogs"),
        ("short256-dogs.txt", "short256-dogs"),
        ("notshort256.txt", "notshort256"),
        ("5percent.txt", "5percent"),
        ("10percent-dogs.txt", "10percent-dogs"),
        (f"{'a' * 64}.txt", "a" * 64),
    ],
)
def test_a_subset_has_the_name_of_its_file_without_the_ending(value: str, name: str) -> None:
    assert subset_name(value) == name


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("all.txt", "has another meaning"),
        (ALL, "has another meaning"),
        ("None.txt", "has another meaning"),
        ("10percent.txt", "is that of the packaged subset 10percent"),
        ("./1percent", "is that of the packaged subset 1percent"),
        ("ImageNet100.lst", "is that of the packaged subset imagenet100"),
        ("short256.txt", "would be read as a size of images"),
        ("MAX500", "would be read as a size of images"),
        ("dogs-short256.txt", "would be read as a size of images"),
        ("a-b-max1.txt", "would be read as a size of images"),
        ("part-3-of-7.txt", "would be read as a part of a verification"),
        ("Part-1-of-2-dogs.txt", "would be read as a part of a verification"),
        ("dogs.partial.txt", "would be read as an unfinished output"),
        ("dogs.partial-v2.txt", "would be read as an unfinished output"),
        (".txt", "is not 1 to 64 letters"),
        ("", "is not 1 to 64 letters"),
        (".", "is not 1 to 64 letters"),
        ("..", "is not 1 to 64 letters"),
        ("-dogs.txt", "is not 1 to 64 letters"),
        ("my dogs.txt", "is not 1 to 64 letters"),
        ("dogs+cats.txt", "is not 1 to 64 letters"),
        ("Hündchen.txt", "is not 1 to 64 letters"),
        ("dogs\n", "is not 1 to 64 letters"),
        ("short\u0662.txt", "is not 1 to 64 letters"),
        (f"{'a' * 65}.txt", "is not 1 to 64 letters"),
    ],
)
def test_a_file_whose_name_cannot_be_part_of_a_folders_name_is_to_be_renamed(value: str, reason: str) -> None:
    with pytest.raises(SubsetError) as raised:
        subset_name(value)
    assert reason in str(raised.value)
    assert str(raised.value).endswith("; rename the file")
    assert str(raised.value).isprintable()


@given(value=st.one_of(st.text(), st.from_regex(r"(?:[A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+", fullmatch=True)))
def test_a_name_is_always_usable_in_a_folders_name_or_refused_in_one_line(value: str) -> None:
    try:
        name = subset_name(value)
    except SubsetError as error:
        assert str(error).isprintable()
    else:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)


# The format ----------------------------------------------------------------------------------------------------------


def test_a_list_of_synsets_has_the_numbers_of_their_lines() -> None:
    read = parse(f"{GOLDFISH}\n{TENCH}\n")
    assert list(read.synsets.items()) == [(GOLDFISH, 1), (TENCH, 2)]
    assert read.images == {}


def test_a_list_of_images_has_the_numbers_of_their_lines() -> None:
    read = parse(f"{OTHER_IMAGE}\n{IMAGE}\n")
    assert list(read.images.items()) == [(OTHER_IMAGE, 1), (IMAGE, 2)]
    assert read.synsets == {}


def test_comments_and_empty_lines_are_ignored_and_counted() -> None:
    assert parse(f"# Fish\n\n   \n{TENCH}\n  # n99999999\n{GOLDFISH}\n").synsets == {TENCH: 4, GOLDFISH: 6}


@pytest.mark.parametrize(
    "text",
    [
        f"{TENCH}\r\n{GOLDFISH}\r\n",
        f"{TENCH}\n{GOLDFISH}",
        f"  {TENCH}\t\n\t{GOLDFISH}  \n",
        f"\ufeff{TENCH}\n{GOLDFISH}\n",
    ],
    ids=["windows", "no last line end", "white space", "byte order mark"],
)
def test_what_editors_add_or_leave_out_makes_no_difference(text: str) -> None:
    assert parse(text) == parse(f"{TENCH}\n{GOLDFISH}\n")


@pytest.mark.parametrize("ending", ["", ".JPEG", ".jpeg", ".jpg", ".JPG", ".Jpeg"])
def test_an_image_has_its_name_in_the_archive_whatever_ending_is_listed(ending: str) -> None:
    assert list(parse(f"{TENCH}_10026{ending}").images) == [IMAGE]


def test_the_canonical_list_has_what_is_listed_in_its_order_and_nothing_else() -> None:
    assert parse(f"# Fish\r\n{OTHER_IMAGE}\r\n\r\n{TENCH}_10026").serialize() == f"{OTHER_IMAGE}\n{IMAGE}\n".encode()


def test_the_digest_is_of_the_canonical_list() -> None:
    assert parse(f"# Fish\n{TENCH}").digest == hashlib.sha256(f"{TENCH}\n".encode()).hexdigest()


def test_a_file_of_the_canonical_list_is_read_as_an_equal_subset(tmp_path: Path) -> None:
    original = read_subset(str(write(tmp_path, f"# Fish\n{TENCH}_1.jpg\n\n{OTHER_IMAGE}")))
    (tmp_path / "copy").mkdir()
    copy = read_subset(str(write(tmp_path / "copy", original.serialize())))
    assert (copy, hash(copy), copy.digest) == (original, hash(original), original.digest)
    assert copy.where != original.where


def test_subsets_that_differ_in_name_or_list_are_not_equal() -> None:
    fish = parse(f"{TENCH}\n{GOLDFISH}")
    assert fish != parse(TENCH)
    assert fish != parse(f"{GOLDFISH}\n{TENCH}")
    assert fish != parse_subset(fish.serialize(), "other", fish.where)
    assert fish != fish.digest


_ENTRIES = st.one_of(
    st.lists(st.from_regex(r"n[0-9]{8}", fullmatch=True), min_size=1, unique=True),
    st.lists(st.from_regex(r"n[0-9]{8}_[0-9]{1,6}\.JPEG", fullmatch=True), min_size=1, unique=True),
)


@given(entries=_ENTRIES, ends=st.lists(st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\n# n\n"]), min_size=1))
def test_any_list_of_distinct_synsets_or_images_is_read_as_listed(entries: list[str], ends: list[str]) -> None:
    text = "".join(f"{entry}{ends[index % len(ends)]}" for index, entry in enumerate(entries))
    read = parse(text)
    numbers = read.synsets or read.images
    assert list(numbers) == entries
    assert [text.split("\n")[number - 1].strip() for number in numbers.values()] == entries
    assert read.serialize() == "".join(f"{entry}\n" for entry in entries).encode()


_PIECES = st.sampled_from(
    [
        *(TENCH, GOLDFISH, IMAGE, f"{TENCH}_7", VALIDATION_IMAGE, f"{TENCH}/{IMAGE}", ".jpg", "\r\n"),
        *"_0n#é \t\n\n\n\r\0\x0b\x1c\x85\u2028\ufeff\u0662",
    ]
)
"""What lists are made of, and characters that some functions take for ends of lines, white space or digits."""


@given(data=st.one_of(st.binary(), st.lists(_PIECES, max_size=20).map(lambda pieces: "".join(pieces).encode())))
@example(b"")
@example(b"\xef\xbb\xbf\xef\xbb\xbfn01440764")
@example("n01440764".encode("utf-16"))
def test_any_bytes_are_a_list_that_round_trips_or_an_error_in_one_line(data: bytes) -> None:
    try:
        read = parse(data)
    except SubsetError as error:
        assert re.fullmatch(r"mine\.txt:[1-9][0-9]*: .+[;:] .+", str(error))
        assert str(error).isprintable()
    else:
        assert bool(read.synsets) != bool(read.images)
        assert parse(read.serialize()) == read
        assert parse(read.serialize()).serialize() == read.serialize()


# Damaged lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (f"{TENCH}\ntench\n", 2, "'tench' is neither a synset such as n01440764 nor a training image such as"),
        (f"{TENCH} tench\n", 1, "is neither"),
        (f"#\n\n{TENCH}\nn0144353\n", 4, "'n0144353' is neither"),
        (f"{TENCH}\rn01443537\r", 1, r"'n01440764\\rn01443537' is neither"),
        (f"{TENCH}_1.png\n", 1, "is neither"),
        (f"{TENCH}_1.JPEG.JPEG\n", 1, "is neither"),
        (f"{TENCH}_\n", 1, "is neither"),
        ("N01440764_1.JPEG\n", 1, "is neither"),
        (f"{TENCH}_{'1' * 21}\n", 1, "is neither"),
        (f"{TENCH}_\u0662\n", 1, "is neither"),
        (f"{TENCH}\n\0\n", 2, r"'\\x00' is neither"),
        ("x" * 1000, 1, f"'{'x' * 60}…' is neither"),
        (f"{TENCH}/{IMAGE}\n", 1, f"is a path; write the file name alone: {IMAGE}$"),
        (f"{IMAGE}\n{VALIDATION_IMAGE}\n", 2, "is a validation image, which cannot be listed: the validation split"),
        (f"val/{TENCH}/{VALIDATION_IMAGE}\n", 1, "is a validation image"),
        ("ILSVRC2012_val_00000001\n", 1, "is a validation image"),
        (f"{TENCH}\n{GOLDFISH}\n{TENCH}\n", 3, f"'{TENCH}' stands in line 1 already; remove one"),
        (f"#\n{TENCH}_10026\n{IMAGE}\n", 3, f"'{IMAGE}' stands in line 2 already"),
        (f"#\n{TENCH}\n{IMAGE}\n", 3, f"'{IMAGE}' is an image, but line 2 is a synset; list either"),
        (f"{IMAGE}\n{GOLDFISH}\n", 2, f"'{GOLDFISH}' is a synset, but line 1 is an image; list either"),
        ("", 1, "nothing is listed"),
        ("\ufeff\n# Fish\n  \n", 1, "nothing is listed"),
        (f"{TENCH}\n".encode() + b"\xff\xfe\n", 2, "not UTF-8 text; give a text file"),
        (lzma.compress(TENCH.encode()), 1, "not UTF-8 text"),
        (TENCH.encode("utf-16"), 1, "not UTF-8 text"),
    ],
)
def test_a_damaged_list_is_named_with_file_and_line(
    tmp_path: Path, content: str | bytes, line: int, reason: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(SubsetError, match=f"^{path}:{line}: .*{reason}|^{path}:{line}: {reason}"):
        read_subset(str(path))


def test_a_name_that_is_no_file_gets_the_packaged_names() -> None:
    with pytest.raises(SubsetError, match="^20percent: there is no such file.* 1percent, 10percent, imagenet100; give"):
        read_subset("20percent")


def test_a_folder_is_not_a_list(tmp_path: Path) -> None:
    (tmp_path / "dogs").mkdir()
    with pytest.raises(SubsetError, match=f"^{tmp_path}/dogs: a folder; give"):
        read_subset(str(tmp_path / "dogs"))


def test_a_file_below_a_file_is_not_a_list(tmp_path: Path) -> None:
    path = write(tmp_path, TENCH)
    with pytest.raises(SubsetError, match=f"^{path}/dogs.txt: the list cannot be read: Not a directory; give"):
        read_subset(f"{path}/dogs.txt")


def test_a_link_in_a_circle_is_not_a_list(tmp_path: Path) -> None:
    (tmp_path / "dogs").symlink_to("dogs")
    with pytest.raises(SubsetError, match=f"^{tmp_path}/dogs: the list cannot be read: Too many levels"):
        read_subset(str(tmp_path / "dogs"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, TENCH)
    path.chmod(0)
    with pytest.raises(SubsetError, match=f"^{path}: the list cannot be read: Permission denied; give"):
        read_subset(str(path))


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dogs")
    with pytest.raises(SubsetError, match=f"^{tmp_path}/dogs: not a regular file; write the list to a text file"):
        read_subset(str(tmp_path / "dogs"))


def test_a_device_is_refused() -> None:
    with pytest.raises(SubsetError, match="^/dev/zero: not a regular file"):
        read_subset("/dev/zero")


def test_a_file_that_is_too_large_for_a_list_is_not_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    # Without blocks on the disk.
    os.truncate(path, 100 * MAX_BYTES)
    with pytest.raises(SubsetError, match=f"^{path}: larger than 67.1 MB, so not a list"):
        read_subset(str(path))


@pytest.mark.parametrize("value", ["a\0b/dogs.txt", "a\nb/dogs.txt", "a\udcff/dogs.txt", "a\ud800/dogs.txt"])
def test_a_path_that_cannot_be_written_to_a_terminal_is_shown_in_one_line(value: str) -> None:
    with pytest.raises(SubsetError) as raised:
        read_subset(value)
    assert str(raised.value).startswith(repr(value))
    assert str(raised.value).isprintable()


# Which images --------------------------------------------------------------------------------------------------------


def test_a_list_of_images_takes_these_training_images_and_all_validation_images() -> None:
    read = parse(IMAGE)
    assert read.takes(TRAIN, TENCH, IMAGE)
    assert not read.takes(TRAIN, TENCH, f"{TENCH}_1.JPEG")
    assert read.takes(VALIDATION, TENCH, VALIDATION_IMAGE)
    assert read.takes(VALIDATION, GOLDFISH, VALIDATION_IMAGE)


def test_a_list_of_synsets_takes_their_images_in_both_splits() -> None:
    read = parse(TENCH)
    for split, name in ((TRAIN, IMAGE), (VALIDATION, VALIDATION_IMAGE)):
        assert read.takes(split, TENCH, name)
        assert not read.takes(split, GOLDFISH, name)


def test_a_list_whose_synsets_are_in_the_table_passes() -> None:
    parse(TENCH).check_synsets([TENCH, GOLDFISH])
    parse(IMAGE).check_synsets([TENCH, GOLDFISH])


def test_the_first_synset_that_is_not_in_the_table_is_named_with_file_and_line() -> None:
    read = parse(f"{TENCH}\n\n{GOLDFISH}\nn99999999\n")
    with pytest.raises(
        SubsetError, match=f"^mine.txt:3: {GOLDFISH} is not in the table .*1 of them.*; remove the line"
    ):
        read.check_synsets([TENCH])


def test_the_first_image_whose_synset_is_not_in_the_table_is_named_with_file_and_line() -> None:
    read = parse(f"{IMAGE}\n{OTHER_IMAGE}\n")
    with pytest.raises(SubsetError, match=f"^mine.txt:2: {GOLDFISH}, the synset of {OTHER_IMAGE}, is not in the table"):
        read.check_synsets([TENCH])


def test_a_list_whose_images_are_all_there_passes() -> None:
    parse(f"{OTHER_IMAGE}\n{IMAGE}").check_images([IMAGE, OTHER_IMAGE, f"{TENCH}_1.JPEG"])


def test_a_list_of_synsets_needs_no_images() -> None:
    parse(TENCH).check_images([])


def test_the_only_listed_image_that_is_not_there_is_named_with_file_and_line() -> None:
    with pytest.raises(SubsetError, match=f"^mine.txt:2: {OTHER_IMAGE} is not among the 1 training images; remove"):
        parse(f"{IMAGE}\n{OTHER_IMAGE}").check_images([IMAGE])


def test_the_first_of_several_images_that_are_not_there_is_named_with_how_many_more() -> None:
    read = parse(f"{IMAGE}\n# 3 more\n{OTHER_IMAGE}\n{TENCH}_1\n{TENCH}_2")
    with pytest.raises(SubsetError, match=f"^mine.txt:3: {OTHER_IMAGE} is not .*, nor are 2 more of the list; remove"):
        read.check_images({IMAGE})


def test_no_line_of_a_packaged_list_is_to_be_removed(packaged: dict[str, Subset]) -> None:
    for check in (packaged["1percent"].check_synsets, packaged["1percent"].check_images):
        with pytest.raises(SubsetError, match="^1percent:1: .*; give a list of your own, or use a") as raised:
            check([])
        assert "remove" not in str(raised.value)
