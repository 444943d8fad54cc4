import gzip
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.layouts.tar import ArchiveError, Member, SeekableTar, members, members_of_gzip
from tests.layouts.archives import retyped, special, tar_of, tar_with_field

FILES = [("a", b"1"), ("b", b"2" * 512), ("c", b"")]
Write = Callable[[bytes], Path]


def members_of(path: Path, start: int = 0, end: int | None = None) -> list[Member]:
    with path.open("rb") as file:
        return list(members(SeekableTar(file.fileno(), start, path.stat().st_size if end is None else end, str(path))))


# What is found -------------------------------------------------------------------------------------------------------


def test_each_member_is_found_where_its_bytes_lie(archive: Write) -> None:
    path = archive(tar_of(FILES))
    contents = path.read_bytes()
    found = [(member.name, contents[member.offset : member.offset + member.size]) for member in members_of(path)]
    assert found == FILES


@given(st.dictionaries(st.text("abcxyz/_.", min_size=1, max_size=99), st.binary(max_size=1500), max_size=6))
def test_whatever_tarfile_writes_is_found(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("tar") / "any.tar"
    path.write_bytes(tar_of(files.items()))
    contents = path.read_bytes()
    found = {member.name: contents[member.offset : member.offset + member.size] for member in members_of(path)}
    assert found == files


def test_a_tar_within_a_tar_is_read_from_its_start_to_its_end(archive: Write) -> None:
    path = archive(tar_of([("before", b"x" * 700), ("inner", tar_of(FILES)), ("after", b"y")]))
    inner = members_of(path)[1]
    assert [member.name for member in members_of(path, inner.offset, inner.offset + inner.size)] == ["a", "b", "c"]


def test_a_name_in_two_fields_is_joined(archive: Write) -> None:
    name = f"{'folder' * 20}/{'file' * 20}"
    assert [member.name for member in members_of(archive(tar_of([(name, b"x")])))] == [name]


def test_folders_are_ignored(archive: Write) -> None:
    path = archive(tar_of([(special("folder", tarfile.DIRTYPE), b""), ("folder/file", b"x")]))
    assert [member.name for member in members_of(path)] == ["folder/file"]


def test_a_pax_header_that_changes_neither_name_nor_size_is_harmless(archive: Write) -> None:
    member = tarfile.TarInfo("a")
    member.pax_headers = {"mtime": "1.5"}
    assert [(it.name, it.size) for it in members_of(archive(tar_of([(member, b"1")], tarfile.PAX_FORMAT)))] == [
        ("a", 1)
    ]


def test_the_times_in_an_old_gnu_header_are_not_part_of_the_name(archive: Write) -> None:
    [found] = members_of(archive(tar_with_field(345, b"14000000000\0" * 2, tarfile.GNU_FORMAT)))
    assert (found.name, found.size) == ("name", 5)


def test_an_owner_too_large_for_octal_digits_is_not_damage(archive: Write) -> None:
    assert len(members_of(archive(tar_with_field(108, b"\x80\0\0\0\x77\x35\x94\0")))) == 1


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_anything_but_regular_files_is_refused_with_its_byte_and_type(archive: Write, kind: bytes) -> None:
    path = archive(tar_of([("a", b"1"), (special("link", kind), b"")]))
    with pytest.raises(ArchiveError, match=rf"{path}, byte 1024: 'link' .*'{kind.decode()}'"):
        members_of(path)


def test_an_old_gnu_sparse_member_is_refused(archive: Write) -> None:
    with pytest.raises(ArchiveError, match="'b' .*'S'"):
        members_of(archive(retyped(tar_of(FILES), b"b", b"S")))


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_in_an_extension_of_the_format_is_refused(archive: Write, format: int) -> None:
    with pytest.raises(ArchiveError, match=r"byte 0"):
        members_of(archive(tar_of([("n" * 200, b"")], format)))


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"},
        {"GNU.sparse.size": "5", "GNU.sparse.map": "0,5"},
        {"path": "../../escaped"},
        {"linkpath": "../../escaped"},
        {"size": "5"},
    ],
)
def test_sparse_renamed_and_resized_members_are_refused(archive: Write, records: dict[str, str]) -> None:
    member = tarfile.TarInfo("a")
    member.pax_headers = records
    with pytest.raises(ArchiveError, match="PAX"):
        members_of(archive(tar_of([(member, b"tench")], tarfile.PAX_FORMAT)))


@pytest.mark.parametrize("name", [b"a", b"b", b"c"])
@pytest.mark.parametrize("kind", [b"x", b"g"])
def test_a_member_whose_type_says_extended_header_is_not_ignored(archive: Write, name: bytes, kind: bytes) -> None:
    files = [("a", b"tench"), ("b", b"2" * 512), ("c", b"1 a\n")]
    with pytest.raises(ArchiveError, match="PAX"):
        members_of(archive(retyped(tar_of(files), name, kind)))


def test_an_extended_header_without_a_member_is_refused(archive: Write) -> None:
    extended = (special("extended", tarfile.XHDTYPE), b"13 mtime=1.5\n")
    with pytest.raises(ArchiveError, match="PAX"):
        members_of(archive(tar_of([("a", b"tench"), extended])))


def test_an_extended_header_of_gigabytes_is_refused_before_it_is_read(archive: Write) -> None:
    member = special("extended", tarfile.XHDTYPE)
    member.size = 1 << 32
    with pytest.raises(ArchiveError, match="4,294,967,296 bytes"):
        members_of(archive(member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)))


@pytest.mark.parametrize("field", [100, 108, 116, 136, 329, 337])
@pytest.mark.parametrize("number", [b"n>000644", b"0000-44\0", b"000 644\0"])
def test_a_header_with_an_invalid_numeric_field_is_refused(archive: Write, field: int, number: bytes) -> None:
    with pytest.raises(ArchiveError, match="'name'.* numeric field"):
        members_of(archive(tar_with_field(field, number)))


def test_a_negative_size_is_refused(archive: Write) -> None:
    with pytest.raises(ArchiveError, match="byte 0: .*negative size"):
        members_of(archive(tar_with_field(124, b"-0000000005\0")))


def test_a_gzip_is_not_a_tar(archive: Write) -> None:
    with pytest.raises(ArchiveError, match="byte 0: .*not a tar"):
        members_of(archive(gzip.compress(b"x" * 100_000, 0)))


@pytest.mark.parametrize("contents", [b"", bytes(511)])
def test_a_file_without_an_end_mark_is_truncated(archive: Write, contents: bytes) -> None:
    with pytest.raises(ArchiveError, match="byte 0: .*truncated"):
        members_of(archive(contents))


def test_a_header_lost_to_zeros_is_not_taken_for_the_end(archive: Write) -> None:
    contents = bytearray(tar_of(FILES))
    contents[1024:1536] = bytes(512)
    with pytest.raises(ArchiveError, match="end mark"):
        members_of(archive(bytes(contents)))


def test_wherever_a_tar_is_cut_it_is_refused(archive: Write) -> None:
    whole = tar_of(FILES)
    end = len(whole.rstrip(b"\0"))
    for cut in range(0, end, 31):
        with pytest.raises(ArchiveError):
            members_of(archive(whole[:cut]))


@given(position=st.integers(0, 511), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_header_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "any.tar"
    contents = bytearray(tar_of(FILES))
    path.write_bytes(contents)
    right = members_of(path)
    contents[position] ^= 1 << bit
    path.write_bytes(contents)
    try:
        assert members_of(path) == right
    except ArchiveError as error:
        assert str(path) in str(error)


# Gzip ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def zipped(tmp_path: Path) -> Write:
    def write(contents: bytes) -> Path:
        path = tmp_path / "boxes.tar.gz"
        path.write_bytes(contents)
        return path

    return write


def test_members_of_a_gzip_come_with_their_contents(zipped: Write) -> None:
    assert list(members_of_gzip(zipped(gzip.compress(tar_of(FILES))))) == FILES


def test_wherever_a_gzip_is_cut_it_is_refused(zipped: Write) -> None:
    whole = gzip.compress(tar_of([("a", b"1"), ("b", bytes(range(256)) * 9)]))
    for cut in range(0, len(whole), 11):
        path = zipped(whole[:cut])
        with pytest.raises(ArchiveError, match=re.escape(str(path))):
            list(members_of_gzip(path))


@pytest.mark.parametrize("position", [-8, -1, 0, 40])
def test_a_damaged_gzip_is_refused(zipped: Write, position: int) -> None:
    whole = bytearray(gzip.compress(tar_of([("a", b"1")])))
    whole[position] ^= 1
    path = zipped(bytes(whole))
    with pytest.raises(ArchiveError, match=re.escape(str(path))):
        list(members_of_gzip(path))


def test_a_gzip_whose_tar_is_cut_is_refused(zipped: Write) -> None:
    with pytest.raises(ArchiveError, match="'b'.*truncated"):
        list(members_of_gzip(zipped(gzip.compress(tar_of(FILES)[:1700]))))


def test_a_gzip_that_unpacks_to_gigabytes_is_refused_before_they_are_read(zipped: Write) -> None:
    member = tarfile.TarInfo("a")
    member.size = 1 << 32
    contents = gzip.compress(member.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))
    with pytest.raises(ArchiveError, match="'a' has 4,294,967,296 bytes"):
        list(members_of_gzip(zipped(contents)))
