from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.layouts.index import FIELDS, ImageLocation, index_file, read_index, read_rows, write_index
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.tar import ArchiveError
from tests.layouts.archives import SYNSETS, train_tar

SYNSET = SYNSETS[1]
HEADER = ",".join(FIELDS) + "\n"
ROW = f"{SYNSET}_22.JPEG,{SYNSET},training_images.tar,1536,1200\n"
LATER_ROW = ROW.replace("_22", "_3")
Read = Callable[[Path, str], list[object]]
READERS = pytest.mark.parametrize("read", [read_index, read_rows])


def write(directory: Path, contents: str | bytes) -> Path:
    path = directory / index_file(SYNSET)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


@READERS
def test_a_file_as_it_is_written_is_read(tmp_path: Path, read: Read) -> None:
    write(tmp_path, HEADER + ROW + LATER_ROW)
    assert len(read(tmp_path, SYNSET)) == 2


WRONG_FILES = {
    "empty": "",
    "zeros": "\0" * 4096,
    "no header": ROW,
    "a cut header": HEADER[:-1],
    "another header": "name,label\n" + ROW,
    "not UTF-8": (HEADER + ROW).encode() + b"\xff\xfe\n",
    "UTF-16": (HEADER + ROW).encode("utf-16"),
    "Windows line ends": (HEADER + ROW).replace("\n", "\r\n"),
    "no end of line": HEADER + ROW[:-1],
    "a cut number": HEADER + ROW + LATER_ROW[:-2],
}


@READERS
@pytest.mark.parametrize("contents", WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_file_that_is_not_whole_is_named_with_the_remedy(tmp_path: Path, read: Read, contents: str | bytes) -> None:
    path = write(tmp_path, contents)
    with pytest.raises(ArchiveError, match=f"^{path}.*delete the index folder and run the build again"):
        read(tmp_path, SYNSET)


WRONG_FIELDS = {
    "negative offset": {"offset": "-1"},
    "negative size": {"size": "-5"},
    "offset beyond any file": {"offset": str(1 << 63)},
    "size beyond any file": {"size": str((1 << 63) - 1)},
    "offset of 5,000 digits": {"offset": "9" * 5000},
    "offset with underscore": {"offset": "1_536"},
    "offset of other digits": {"offset": "\u0661\u0660"},
    "offset with space": {"offset": " 1536"},
    "float": {"size": "12e2"},
    "hexadecimal": {"size": "0x10"},
    "no size": {"size": ""},
    "no name": {"name": ""},
    "name of a folder above": {"name": ".."},
    "name with a path": {"name": "../../escaped.JPEG"},
    "absolute name": {"name": "/etc/passwd"},
    "name with NUL": {"name": "a\0b.JPEG"},
    "another synset": {"synset": SYNSETS[0]},
    "synset with a path": {"synset": "../.."},
    "no file": {"file": ""},
    "absolute file": {"file": "/etc/passwd"},
    "file in a folder above": {"file": "../escaped.tar"},
    "file by a detour": {"file": "training_images/../../escaped.tar"},
    "quoted file in a folder above": {"file": '"../a,b"'},
    "file with NUL": {"file": "training_images.tar\0"},
    "one field more": {"size": "1200,1"},
}


@READERS
@pytest.mark.parametrize("fields", WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_wrong_field_is_named_with_file_and_line(tmp_path: Path, read: Read, fields: dict[str, str]) -> None:
    row = ",".join({**dict(zip(FIELDS, LATER_ROW.rstrip().split(","), strict=True)), **fields}.values())
    path = write(tmp_path, f"{HEADER}{ROW}{row}\n")
    with pytest.raises(ArchiveError, match=f"^{path}:3: .*delete the index folder"):
        read(tmp_path, SYNSET)


@READERS
@pytest.mark.parametrize("rows", [ROW + ROW, LATER_ROW + ROW, ROW + "\n"], ids=["twice", "not in order", "empty line"])
def test_rows_that_no_index_has_are_refused(tmp_path: Path, read: Read, rows: str) -> None:
    path = write(tmp_path, HEADER + rows)
    with pytest.raises(ArchiveError, match=f"^{path}:3: "):
        read(tmp_path, SYNSET)


@given(size=st.integers(0, len(HEADER + ROW + LATER_ROW) - 1))
def test_a_file_cut_anywhere_but_after_a_line_is_refused(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    directory = tmp_path_factory.mktemp("index")
    contents = (HEADER + ROW + LATER_ROW)[:size]
    write(directory, contents)
    if contents.endswith("\n"):
        # A manifest of the index tells that rows are missing.
        assert len(read_index(directory, SYNSET)) == contents.count("\n") - 1
        return
    with pytest.raises(ArchiveError):
        read_index(directory, SYNSET)


@given(data=st.data())
def test_damage_gives_locations_in_the_folder_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("index")
    contents = bytearray((HEADER + ROW + LATER_ROW).encode())
    for position in data.draw(st.lists(st.integers(0, len(contents) - 1), min_size=1, max_size=4)):
        contents[position] = data.draw(st.sampled_from(b'\0\n\r",./-_019\xff') | st.integers(0, 255))
    write(directory, bytes(contents))
    with suppress(ArchiveError):
        rows, locations = read_rows(directory, SYNSET), read_index(directory, SYNSET)
        assert [name for name, _ in rows] == [location.name for location in locations]
        for location in locations:
            assert location.offset >= 0 <= location.size
            assert "/" not in location.name
            assert (directory / location.file).resolve().is_relative_to(directory.resolve())


def test_a_file_name_with_a_comma_is_read_back(tmp_path: Path) -> None:
    location = ImageLocation("a.JPEG", SYNSET, 'folder, "quoted"/a.JPEG', 0, 5)
    write_index([location], SYNSETS, tmp_path)
    assert read_index(tmp_path, SYNSET) == [location]


# The reader ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "size"), [(1536, 1 << 61), (1 << 61, 5), (0, 5), (511, 5)])
def test_a_location_outside_the_archive_is_refused_without_taking_memory(
    tmp_path: Path, offset: int, size: int
) -> None:
    (tmp_path / "training_images.tar").write_bytes(train_tar())
    location = ImageLocation(f"{SYNSET}_22.JPEG", SYNSET, "training_images.tar", offset, size)
    with (
        ImageReader(tmp_path, tmp_path / "training_images") as reader,
        pytest.raises(ArchiveError, match=f"{location.name} in {tmp_path}/training_images.tar"),
    ):
        reader.read(location)


def test_a_file_of_another_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "training_images" / SYNSET / f"{SYNSET}_1.JPEG"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    location = ImageLocation(path.name, SYNSET, f"training_images/{SYNSET}/{path.name}", 0, 5)
    with (
        ImageReader(tmp_path, tmp_path / "training_images") as reader,
        pytest.raises(ArchiveError, match=f"{path} has {1 << 40} bytes, .* 5"),
    ):
        reader.read(location)
