import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.storage.manifest import (
    Entry,
    Manifest,
    ManifestError,
    add_to_entry,
    check_as_written,
    entry_of,
    entry_of_file,
    read_entry,
    read_files,
    read_manifest,
    serialize_manifest,
)

names = st.text('abc_/", ', min_size=1)
manifests = st.builds(
    Manifest,
    files=st.dictionaries(names, st.builds(entry_of, st.binary())),
    inputs=st.dictionaries(names, st.text("0123456789abcdef")),
)


def write(manifest: Manifest, path: Path) -> Path:
    path.write_bytes(serialize_manifest(manifest))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "b").write_bytes(b"2" * 3_000_000)
    (folder / "deep" / "a, with a comma").write_bytes(b"")
    return folder


@pytest.fixture
def manifest(folder: Path, tmp_path: Path) -> Path:
    return write(Manifest(read_files(folder), {"unique_synsets.txt": "0a1b"}), tmp_path / "manifest.csv")


# Entries -------------------------------------------------------------------------------------------------------------


@given(st.binary())
def test_an_entry_has_size_and_crc(contents: bytes) -> None:
    assert entry_of(contents) == Entry(len(contents), zlib.crc32(contents))


@given(st.lists(st.binary()))
def test_the_entry_of_chunks_is_that_of_all_of_them(chunks: list[bytes]) -> None:
    assert add_to_entry(Entry(0, 0), chunks) == entry_of(b"".join(chunks))


def test_the_entry_of_a_file_is_that_of_its_bytes(folder: Path) -> None:
    assert entry_of_file(folder / "b") == entry_of(b"2" * 3_000_000)


def test_a_folder_has_an_entry_for_each_file_however_deep(folder: Path) -> None:
    assert read_files(folder) == {"b": entry_of(b"2" * 3_000_000), "deep/a, with a comma": Entry(0, 0)}


def test_a_single_file_has_one_entry(folder: Path) -> None:
    assert read_files(folder / "b") == {"": entry_of(b"2" * 3_000_000)}


# Written and read ----------------------------------------------------------------------------------------------------


@given(manifest=manifests)
def test_any_manifest_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> None:
    assert read_manifest(write(manifest, tmp_path_factory.mktemp("manifest") / "manifest.csv")) == manifest


def test_the_manifest_of_a_single_file_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest(read_files(folder / "b"))
    assert read_manifest(write(manifest, tmp_path / "manifest.csv")) == manifest


def test_the_order_of_files_and_inputs_changes_nothing() -> None:
    files, inputs = {"b": entry_of(b"2"), "a": entry_of(b"1")}, {"d": "1", "c": "2"}
    other = Manifest(dict(reversed(files.items())), dict(reversed(inputs.items())))
    assert serialize_manifest(other) == serialize_manifest(Manifest(files, inputs))


def test_one_entry_is_read_like_all(manifest: Path) -> None:
    assert read_entry(manifest, "b") == entry_of(b"2" * 3_000_000)


def test_the_entry_of_a_single_file_is_read_by_its_empty_path(folder: Path, tmp_path: Path) -> None:
    path = write(Manifest(read_files(folder / "b"), {"index": "0a"}), tmp_path / "manifest.csv")
    assert read_entry(path, "") == entry_of(b"2" * 3_000_000)


@pytest.mark.parametrize("name", ["c", "", "deep"])
def test_a_file_that_the_manifest_does_not_have_is_named(manifest: Path, name: str) -> None:
    with pytest.raises(ManifestError, match=f"{manifest} .*{name}"):
        read_entry(manifest, name)


def test_the_digest_is_of_the_files_and_not_of_what_they_were_made_from() -> None:
    files = {"a": entry_of(b"1")}
    assert Manifest(files, {"table": "1"}).digest == Manifest(files, {"table": "2"}).digest
    assert Manifest(files).digest != Manifest({"a": entry_of(b"2")}).digest


# Missing and damaged -------------------------------------------------------------------------------------------------


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"{tmp_path}/manifest.csv"):
        read_manifest(tmp_path / "manifest.csv")


@given(data=st.data(), manifest=manifests)
def test_a_changed_byte_of_a_manifest_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, manifest: Manifest
) -> None:
    path = write(manifest, tmp_path_factory.mktemp("manifest") / "manifest.csv")
    contents = bytearray(path.read_bytes())
    contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(contents)
    with pytest.raises(ManifestError, match=str(path)):
        read_manifest(path)


def test_a_manifest_that_is_cut_at_any_byte_is_damaged(manifest: Path) -> None:
    whole = manifest.read_bytes()
    for size in range(len(whole)):
        manifest.write_bytes(whole[:size])
        for read in (read_manifest, lambda path: read_entry(path, "b")):
            with pytest.raises(ManifestError, match=str(manifest)):
                read(manifest)


@given(st.binary(max_size=100))
def test_any_other_bytes_are_a_damaged_manifest(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    path.write_bytes(contents)
    with pytest.raises(ManifestError):
        read_manifest(path)


# Compared before they are used ---------------------------------------------------------------------------------------


def refusal(folder: Path, names: list[str], manifest: Path) -> str:
    with pytest.raises(ManifestError) as raised:
        check_as_written(folder, names, manifest)
    # The whole output is made again.
    assert f"delete {folder} " in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("names", [["b"], ["b", "deep/a, with a comma"]])
def test_files_that_are_as_they_were_written_give_their_entries(folder: Path, manifest: Path, names: list[str]) -> None:
    files = read_files(folder)
    assert check_as_written(folder, names, manifest) == {name: files[name] for name in names}


def test_a_changed_file_is_named_and_others_are_not_read(folder: Path, manifest: Path) -> None:
    (folder / "b").write_bytes(b"3" * 3_000_000)
    assert str(folder / "b") in refusal(folder, ["b"], manifest)
    assert str(folder / "b") in refusal(folder, ["b", "deep/a, with a comma"], manifest)
    (folder / "b").write_bytes(b"2" * 3_000_000)
    (folder / "deep" / "a, with a comma").write_bytes(b"3")
    check_as_written(folder, ["b"], manifest)


@pytest.mark.parametrize("size", [0, 1, 2_999_999])
def test_a_cut_file_is_named(folder: Path, manifest: Path, size: int) -> None:
    (folder / "b").write_bytes(b"2" * size)
    assert str(folder / "b") in refusal(folder, ["b"], manifest)


@pytest.mark.parametrize("names", [["c"], ["b", "c"]])
def test_a_file_that_was_not_written_is_refused(folder: Path, manifest: Path, names: list[str]) -> None:
    (folder / "c").write_bytes(b"")
    refusal(folder, names, manifest)


@pytest.mark.parametrize("names", [["b"], ["b", "deep/a, with a comma"]])
def test_a_missing_file_is_named(folder: Path, manifest: Path, names: list[str]) -> None:
    (folder / "b").unlink()
    assert str(folder / "b") in refusal(folder, names, manifest)


@pytest.mark.parametrize("names", [["b"], ["b", "deep/a, with a comma"]])
@pytest.mark.parametrize("kept", [0, 20, None])
def test_nothing_is_read_with_a_manifest_that_is_damaged_or_gone(
    folder: Path, manifest: Path, names: list[str], kept: int | None
) -> None:
    if kept is None:
        manifest.unlink()
    else:
        manifest.write_bytes(manifest.read_bytes()[:kept])
    assert str(manifest) in refusal(folder, names, manifest)


@pytest.mark.parametrize("names", [["b"], ["b", "deep/a, with a comma"]])
def test_a_folder_in_the_place_of_a_file_is_refused(folder: Path, manifest: Path, names: list[str]) -> None:
    (folder / "b").unlink()
    (folder / "b").mkdir()
    with pytest.raises((ManifestError, OSError), match=str(folder / "b")):
        check_as_written(folder, names, manifest)
