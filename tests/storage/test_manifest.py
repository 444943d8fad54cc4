import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.storage.manifest import (
    Entry,
    ManifestError,
    build_manifest,
    entry_of,
    matches_manifest,
    read_manifest,
    write_manifest,
)

entries = st.dictionaries(
    st.text('abc_/", \n', min_size=1).filter(lambda name: "\n" not in name), st.builds(entry_of, st.binary())
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "b").write_bytes(b"2" * 3_000_000)
    (folder / "deep" / "a, with a comma").write_bytes(b"")
    return folder


@pytest.fixture
def manifest(folder: Path, tmp_path: Path) -> Path:
    write_manifest(build_manifest(folder), tmp_path / "manifest.csv")
    return tmp_path / "manifest.csv"


# Built and written ---------------------------------------------------------------------------------------------------


@given(st.binary())
def test_an_entry_has_size_and_crc(contents: bytes) -> None:
    assert entry_of(contents) == Entry(len(contents), zlib.crc32(contents))


def test_a_manifest_has_size_and_crc_of_each_file(folder: Path) -> None:
    assert build_manifest(folder) == {"b": entry_of(b"2" * 3_000_000), "deep/a, with a comma": Entry(0, 0)}


def test_a_single_file_has_a_manifest_too(folder: Path) -> None:
    assert build_manifest(folder / "b") == {"": entry_of(b"2" * 3_000_000)}


def test_the_manifest_of_a_folder_is_read_as_it_was_written(folder: Path, manifest: Path) -> None:
    assert read_manifest(manifest) == build_manifest(folder)


def test_the_manifest_of_a_single_file_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    write_manifest(build_manifest(folder / "b"), tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == build_manifest(folder / "b")


@given(entries=entries)
def test_any_manifest_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Entry]
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    write_manifest(entries, path)
    assert read_manifest(path) == entries


def test_the_order_of_the_files_changes_nothing(tmp_path: Path) -> None:
    files = {"b": entry_of(b"2"), "a": entry_of(b"1")}
    write_manifest(files, tmp_path / "one")
    write_manifest(dict(reversed(files.items())), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# Missing and damaged -------------------------------------------------------------------------------------------------


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"{tmp_path}/manifest.csv") as raised:
        read_manifest(tmp_path / "manifest.csv")
    assert raised.value.intact is None


@given(data=st.data(), entries=entries)
def test_a_changed_byte_of_a_manifest_is_found_and_what_it_said_is_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, entries: dict[str, Entry]
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    write_manifest(entries, path)
    contents = bytearray(path.read_bytes())
    contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(contents)
    with pytest.raises(ManifestError, match=str(path)) as raised:
        read_manifest(path)
    assert raised.value.intact == entries


def test_a_manifest_that_is_cut_at_any_byte_is_damaged(manifest: Path) -> None:
    whole = manifest.read_bytes()
    for size in range(len(whole)):
        manifest.write_bytes(whole[:size])
        with pytest.raises(ManifestError, match=str(manifest)):
            read_manifest(manifest)


@given(st.binary(max_size=100))
def test_any_other_bytes_are_a_damaged_manifest(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    path.write_bytes(contents)
    with pytest.raises(ManifestError):
        read_manifest(path)


# Compared ------------------------------------------------------------------------------------------------------------


def test_files_that_are_as_they_were_written_match(folder: Path, manifest: Path) -> None:
    assert matches_manifest(folder, ["b", "deep/a, with a comma"], manifest)


def test_a_changed_file_does_not_match_and_others_do(folder: Path, manifest: Path) -> None:
    (folder / "b").write_bytes(b"3" * 3_000_000)
    assert not matches_manifest(folder, ["b"], manifest)
    assert matches_manifest(folder, ["deep/a, with a comma"], manifest)


def test_a_file_that_the_manifest_does_not_have_does_not_match(folder: Path, manifest: Path) -> None:
    (folder / "c").write_bytes(b"")
    assert not matches_manifest(folder, ["c"], manifest)


def test_a_missing_file_does_not_match(folder: Path, manifest: Path) -> None:
    (folder / "b").unlink()
    assert not matches_manifest(folder, ["b"], manifest)


def test_nothing_matches_a_damaged_manifest(folder: Path, manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes()[1:])
    assert not matches_manifest(folder, ["b"], manifest)


def test_nothing_matches_a_missing_manifest(folder: Path, manifest: Path) -> None:
    manifest.unlink()
    assert not matches_manifest(folder, ["b"], manifest)
