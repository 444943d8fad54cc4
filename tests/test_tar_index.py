import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luigi_ilsvrc import synsets, tar_index
from luigi_ilsvrc.archives import TRAIN, VALIDATION
from luigi_ilsvrc.synsets import TableError
from luigi_ilsvrc.tar_index import ArchiveError, ImageLocation, ImageReader

SYNSETS = ["n01440764", "n01443537"]
LABELS = ["n01443537", "n01440764", "n01443537"]

Files = Iterable[tuple[str | tarfile.TarInfo, bytes]]


def tar_of(files: Files, format: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, contents in files:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return buffer.getvalue()


def train_tar(**extra: Files) -> bytes:
    """A training archive of two synsets; a keyword replaces the images of one."""
    images: dict[str, Files] = {
        "n01443537": [("n01443537_22.JPEG", b"fish" * 300), ("n01443537_3.JPEG", b"gold")],
        "n01440764": [("n01440764_10.JPEG", b"tench")],
    }
    images.update(extra)
    return tar_of((f"{synset}.tar", tar_of(files)) for synset, files in images.items())


def train_tar_with_field(position: int, field: bytes, format: Literal[0, 1] = tarfile.USTAR_FORMAT) -> bytes:
    """A training archive of one image of 5 bytes, with a field of its header overwritten and the checksum right."""
    header = bytearray(tarfile.TarInfo("n01440764_10.JPEG").tobuf(format))
    header[124:136] = b"00000000005\0"
    header[position : position + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return tar_of([("n01440764.tar", bytes(header) + b"tench".ljust(512, b"\0") + bytes(1024))])


def validation_tar() -> bytes:
    return tar_of((f"ILSVRC2012_val_{number:08}.JPEG", bytes([number]) * 600) for number in (3, 1, 2))


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(contents: bytes) -> Path:
        path = tmp_path / "training_images.tar"
        path.write_bytes(contents)
        return path

    return write


def index_train(path: Path) -> list[ImageLocation]:
    return tar_index.index_train_archive(path, SYNSETS)


# What is found ------------------------------------------------------------------------------------------------------


def test_every_training_image_is_found_where_its_bytes_lie(ilsvrc: Path) -> None:
    path = ilsvrc / TRAIN.name
    table = synsets.read_synsets(ilsvrc / synsets.UNIQUE_SYNSETS)
    contents = path.read_bytes()
    found = {
        image.name: contents[image.offset : image.offset + image.size]
        for image in tar_index.index_train_archive(path, table)
    }
    expected = {}
    with tarfile.open(path) as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                for image in inner:
                    contained = inner.extractfile(image)
                    assert contained is not None
                    expected[image.name] = contained.read()
    assert found == expected


def test_every_validation_image_is_found_with_its_label(tmp_path: Path) -> None:
    path = tmp_path / "validation_images.tar"
    path.write_bytes(validation_tar())
    found = tar_index.index_validation_archive(path, LABELS, Path("labels.txt"))
    assert {image.name: image.synset for image in found} == {
        "ILSVRC2012_val_00000001.JPEG": "n01443537",
        "ILSVRC2012_val_00000002.JPEG": "n01440764",
        "ILSVRC2012_val_00000003.JPEG": "n01443537",
    }
    contents = path.read_bytes()
    assert {contents[image.offset] for image in found} == {1, 2, 3}


def test_class_folders_are_indexed_like_the_archive(tmp_path: Path) -> None:
    folders = tmp_path / "training_images"
    for name in ("n01440764_10.JPEG", "n01443537_22.JPEG", "n01443537_3.JPEG"):
        (folders / name[:9]).mkdir(parents=True, exist_ok=True)
        (folders / name[:9] / name).write_bytes(b"image")
    (folders / "n01440764" / ".DS_Store").touch()
    found = tar_index.index_train_folders(folders, SYNSETS)
    assert sorted(found)[0] == ImageLocation(
        "n01440764_10.JPEG", "n01440764", "training_images/n01440764/n01440764_10.JPEG", 0, 5
    )
    assert len(found) == 3


def test_validation_folders_must_agree_with_the_labels(tmp_path: Path) -> None:
    folders = tmp_path / "validation_images"
    for number, synset in enumerate(reversed(LABELS), start=1):
        (folders / synset).mkdir(parents=True, exist_ok=True)
        (folders / synset / f"ILSVRC2012_val_{number:08}.JPEG").write_bytes(b"image")
    assert len(tar_index.index_validation_folders(folders, LABELS[::-1], Path("labels.txt"))) == 3
    with pytest.raises(ArchiveError, match=r"labels\.txt labels it"):
        tar_index.index_validation_folders(folders, ["n01440764", "n01443537", "n01443537"], Path("labels.txt"))


def test_an_index_is_read_back_as_written_and_sorted(tmp_path: Path, archive: Callable[[bytes], Path]) -> None:
    locations = index_train(archive(train_tar()))
    tar_index.write_index(locations, SYNSETS, tmp_path)
    assert [image for synset in SYNSETS for image in tar_index.read_index(tmp_path, synset)] == sorted(locations)


def test_a_synset_that_was_not_indexed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="n02105855 is not among the synsets"):
        tar_index.read_index(tmp_path, "n02105855")


def test_folders_and_harmless_pax_headers_in_an_archive_are_passed_over(archive: Callable[[bytes], Path]) -> None:
    member = tarfile.TarInfo("n01440764_10.JPEG")
    member.pax_headers = {"mtime": "1.5"}
    inner = tar_of([(member, b"tench")], tarfile.PAX_FORMAT)
    outer = tar_of([("n01440764.tar", inner), (special("folder", tarfile.DIRTYPE), b"")])
    assert [image.size for image in tar_index.index_train_archive(archive(outer), SYNSETS[:1])] == [5]


def test_the_times_in_an_old_gnu_header_are_no_part_of_the_name(archive: Callable[[bytes], Path]) -> None:
    outer = train_tar_with_field(345, b"14000000000\0" * 2, tarfile.GNU_FORMAT)
    [found] = tar_index.index_train_archive(archive(outer), SYNSETS[:1])
    assert (found.name, found.size) == ("n01440764_10.JPEG", 5)


def test_an_owner_too_large_for_octal_digits_is_no_damage(archive: Callable[[bytes], Path]) -> None:
    outer = train_tar_with_field(108, b"\x80\0\0\0\x77\x35\x94\0")
    assert len(tar_index.index_train_archive(archive(outer), SYNSETS[:1])) == 1


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_anything_but_regular_files_is_refused(archive: Callable[[bytes], Path], kind: bytes) -> None:
    hostile = train_tar(n01440764=[(special("n01440764_10.JPEG", kind), b"")])
    with pytest.raises(ArchiveError, match=r"n01440764\.tar, byte \d+: 'n01440764_10.JPEG' is not a regular file"):
        index_train(archive(hostile))


@pytest.mark.parametrize(
    "name",
    ["../n01440764_1.JPEG", "/n01440764_1.JPEG", "n01440764_1.jpg", "n01440764_1.JPEG\n", "x/n01440764_1.JPEG", "a"],
)
def test_a_name_of_another_shape_is_refused(archive: Callable[[bytes], Path], name: str) -> None:
    with pytest.raises(ArchiveError, match=r"is not named <synset>_<n>\.JPEG"):
        index_train(archive(train_tar(n01440764=[(name, b"tench")])))


def test_an_image_of_another_synset_is_refused(archive: Callable[[bytes], Path]) -> None:
    with pytest.raises(ArchiveError, match="n01443537_1.JPEG lies among the images of n01440764"):
        index_train(archive(train_tar(n01440764=[("n01443537_1.JPEG", b"fish")])))


def test_an_image_twice_is_refused(archive: Callable[[bytes], Path]) -> None:
    twice = [("n01440764_1.JPEG", b"tench"), ("n01440764_1.JPEG", b"fish")]
    with pytest.raises(ArchiveError, match="n01440764_1.JPEG is there 2 times"):
        index_train(archive(train_tar(n01440764=twice)))


def test_an_empty_image_is_refused(archive: Callable[[bytes], Path]) -> None:
    with pytest.raises(ArchiveError, match="n01440764_1.JPEG is empty"):
        index_train(archive(train_tar(n01440764=[("n01440764_1.JPEG", b"")])))


def test_a_missing_synset_is_named(archive: Callable[[bytes], Path]) -> None:
    path = archive(train_tar())
    with pytest.raises(ArchiveError, match=r"1 of the 3 synsets are missing, such as n02105855\.tar"):
        tar_index.index_train_archive(path, [*SYNSETS, "n02105855"])


def test_an_unknown_synset_is_named(archive: Callable[[bytes], Path]) -> None:
    path = archive(train_tar())
    with pytest.raises(ArchiveError, match="n01440764 is not in the table of synsets"):
        tar_index.index_train_archive(path, SYNSETS[1:])


def test_a_synset_twice_is_refused(archive: Callable[[bytes], Path]) -> None:
    inner = tar_of([("n01440764_1.JPEG", b"tench")])
    with pytest.raises(ArchiveError, match=r"n01440764\.tar is there twice"):
        index_train(archive(tar_of([("n01440764.tar", inner), ("n01440764.tar", inner)])))


def test_another_data_sets_archive_is_refused(archive: Callable[[bytes], Path]) -> None:
    with pytest.raises(ArchiveError, match=r"'cifar-10/data_batch_1' is not named <synset>\.tar"):
        index_train(archive(tar_of([("cifar-10/data_batch_1", b"x" * 100)])))


def test_a_gzip_called_tar_is_refused(archive: Callable[[bytes], Path]) -> None:
    with pytest.raises(ArchiveError, match="no tar at all"):
        index_train(archive(gzip.compress(b"x" * 100_000, 0)))


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_refused(archive: Callable[[bytes], Path], format: int) -> None:
    with pytest.raises(ArchiveError, match="regular file|renames"):
        index_train(archive(tar_of([("n" * 200 + ".tar", b"")], format)))


def retyped(contents: bytes, name: bytes, kind: bytes) -> bytes:
    """Give a member another type, with the right checksum."""
    start = contents.rindex(name + b"\0")
    header = bytearray(contents[start : start + 512])
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return contents[:start] + bytes(header) + contents[start + 512 :]


@pytest.mark.parametrize("name", [b"n01440764_10.JPEG", b"n01443537_3.JPEG", b"n01443537_22.JPEG", b"n01443537.tar"])
@pytest.mark.parametrize("kind", [b"x", b"g"])
def test_a_member_does_not_vanish_by_calling_itself_an_extended_header(
    archive: Callable[[bytes], Path], name: bytes, kind: bytes
) -> None:
    with pytest.raises(ArchiveError, match="no extended"):
        index_train(archive(retyped(train_tar(), name, kind)))


def test_an_extended_header_without_a_member_is_refused(archive: Callable[[bytes], Path]) -> None:
    records = b"13 mtime=1.5\n"
    inner = tar_of([("n01440764_10.JPEG", b"tench"), (special("extended", tarfile.XHDTYPE), records)])
    with pytest.raises(ArchiveError, match="without a member"):
        tar_index.index_train_archive(archive(tar_of([("n01440764.tar", inner)])), SYNSETS[:1])


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"},
        {"GNU.sparse.size": "5", "GNU.sparse.map": "0,5"},
        {"path": "../../escaped"},
        {"size": "5"},
    ],
)
def test_sparse_renamed_and_resized_members_are_refused(
    archive: Callable[[bytes], Path], records: dict[str, str]
) -> None:
    member = tarfile.TarInfo("n01440764_10.JPEG")
    member.pax_headers = records
    with pytest.raises(ArchiveError, match="renames or resizes"):
        tar_index.index_train_archive(
            archive(tar_of([("n01440764.tar", tar_of([(member, b"tench")], tarfile.PAX_FORMAT))])), SYNSETS[:1]
        )


def test_an_old_gnu_sparse_member_is_refused(archive: Callable[[bytes], Path]) -> None:
    with pytest.raises(ArchiveError, match="tar type 'S'"):
        index_train(archive(retyped(train_tar(), b"n01440764_10.JPEG", b"S")))


@pytest.mark.parametrize("field", [100, 108, 116, 136, 329, 337])
@pytest.mark.parametrize("number", [b"n>000644", b"0000-44\0", b"000 644\0"])
def test_a_header_whose_numbers_are_none_is_refused(
    archive: Callable[[bytes], Path], field: int, number: bytes
) -> None:
    with pytest.raises(ArchiveError, match="header of 'n01440764_10.JPEG' has numbers that are none"):
        tar_index.index_train_archive(archive(train_tar_with_field(field, number)), SYNSETS[:1])


@pytest.mark.parametrize("contents", [b"", b"\0" * 10_240, b"\0" * 511])
def test_an_empty_file_is_refused(archive: Callable[[bytes], Path], contents: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"truncated|synsets are missing"):
        index_train(archive(contents))


def test_a_header_lost_to_zeros_does_not_pass_for_the_end(archive: Callable[[bytes], Path]) -> None:
    contents = bytearray(train_tar())
    second = contents.rindex(b"n01440764.tar")
    contents[second : second + 512] = bytes(512)
    with pytest.raises(ArchiveError, match="data follows the archive's end mark"):
        index_train(archive(bytes(contents)))


def test_wherever_the_archive_is_cut_it_is_refused(archive: Callable[[bytes], Path]) -> None:
    whole = train_tar()
    end = len(whole.rstrip(b"\0"))
    for cut in range(0, end, 97):
        with pytest.raises(ArchiveError):
            index_train(archive(whole[:cut]))


@settings(deadline=None)
@given(position=st.integers(0, 511), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_header_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "training_images.tar"
    contents = bytearray(train_tar())
    path.write_bytes(contents)
    right = index_train(path)
    contents[position] ^= 1 << bit
    path.write_bytes(contents)
    try:
        assert index_train(path) == right
    except ArchiveError as error:
        assert str(path) in str(error)


def test_a_table_of_another_length_than_the_archive_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "validation_images.tar"
    path.write_bytes(validation_tar())
    with pytest.raises(TableError, match=r"^labels\.txt:2: the table has 2 lines, but .* holds 3 validation images"):
        tar_index.index_validation_archive(path, LABELS[:2], Path("labels.txt"))


def test_a_validation_image_beyond_the_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "validation_images.tar"
    path.write_bytes(tar_of((f"ILSVRC2012_val_{number:08}.JPEG", b"x") for number in (1, 2, 9)))
    with pytest.raises(ArchiveError, match=r"ILSVRC2012_val_00000009\.JPEG: labels\.txt has no line 9"):
        tar_index.index_validation_archive(path, LABELS, Path("labels.txt"))


# Gzip ---------------------------------------------------------------------------------------------------------------


def test_members_of_a_gzip_come_with_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "boxes.tar.gz"
    path.write_bytes(gzip.compress(tar_of([("a", b"1"), ("b", b"2" * 512), ("c", b"")])))
    assert list(tar_index.members_of_gzip(path)) == [("a", b"1"), ("b", b"2" * 512), ("c", b"")]


def test_wherever_a_gzip_is_cut_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.tar.gz"
    whole = gzip.compress(tar_of([("a", b"1"), ("b", bytes(range(256)) * 9)]))
    for cut in range(0, len(whole), 11):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArchiveError, match=str(path)):
            list(tar_index.members_of_gzip(path))


def test_a_gzip_whose_crc_is_wrong_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.tar.gz"
    whole = bytearray(gzip.compress(tar_of([("a", b"1")])))
    whole[-8] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ArchiveError, match="damaged"):
        list(tar_index.members_of_gzip(path))


def test_a_gzip_that_unpacks_to_gigabytes_is_refused_before_they_are_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a")
    member.size = 1 << 32
    path = tmp_path / "boxes.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)))
    with pytest.raises(ArchiveError, match="'a' has 4,294,967,296 bytes"):
        list(tar_index.members_of_gzip(path))


# Reading ------------------------------------------------------------------------------------------------------------


def test_images_are_read_out_of_the_archive(tmp_path: Path, archive: Callable[[bytes], Path]) -> None:
    locations = index_train(archive(train_tar()))
    with ImageReader(tmp_path, tmp_path / "training_images") as reader:
        assert {image.name: reader.read(image) for image in locations} == {
            "n01443537_22.JPEG": b"fish" * 300,
            "n01443537_3.JPEG": b"gold",
            "n01440764_10.JPEG": b"tench",
        }


def test_images_are_read_from_class_folders_when_the_archive_is_gone(
    tmp_path: Path, archive: Callable[[bytes], Path]
) -> None:
    path = archive(train_tar())
    tench = index_train(path)[-1]
    path.unlink()
    with ImageReader(tmp_path, tmp_path / "training_images") as reader:
        with pytest.raises(ArchiveError, match="is gone"):
            reader.read(tench)
        (tmp_path / "training_images" / "n01440764").mkdir(parents=True)
        (tmp_path / "training_images" / "n01440764" / "n01440764_10.JPEG").write_bytes(b"tench")
        assert reader.read(tench) == b"tench"
        (tmp_path / "training_images" / "n01440764" / "n01440764_10.JPEG").write_bytes(b"ten")
        with pytest.raises(ArchiveError, match="has 3 bytes, the index says 5"):
            reader.read(tench)


def test_an_archive_cut_after_it_was_indexed_is_noticed(tmp_path: Path, archive: Callable[[bytes], Path]) -> None:
    path = archive(train_tar())
    tench = index_train(path)[-1]
    path.write_bytes(path.read_bytes()[: tench.offset + 2])
    with (
        ImageReader(tmp_path, tmp_path) as reader,
        pytest.raises(ArchiveError, match=f"byte {tench.offset}.*truncated"),
    ):
        reader.read(tench)


def test_another_archive_than_the_indexed_one_is_noticed(tmp_path: Path, archive: Callable[[bytes], Path]) -> None:
    fish = index_train(archive(train_tar()))[0]
    archive(train_tar(n01443537=[("n01443537_3.JPEG", b"gold"), ("n01443537_22.JPEG", b"fish" * 300)]))
    with ImageReader(tmp_path, tmp_path) as reader, pytest.raises(ArchiveError, match="not the one that was indexed"):
        reader.read(fish)


def test_the_validation_archive_of_a_miniature_has_an_image_for_each_label(ilsvrc: Path) -> None:
    table = ilsvrc / synsets.VALIDATION_SYNSET_LABELS
    labels = synsets.read_validation_labels(table, synsets.read_synsets(ilsvrc / synsets.UNIQUE_SYNSETS))
    found = tar_index.index_validation_archive(ilsvrc / VALIDATION.name, labels, table)
    assert [image.synset for image in sorted(found)] == labels
