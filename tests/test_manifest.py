from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.manifest import Entry, ManifestError, describe, entry_of, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "b").write_bytes(b"2" * 3_000_000)
    (folder / "deep" / "a, with a comma").write_bytes(b"")
    return folder


def test_a_manifest_tells_size_and_crc_of_each_file(folder: Path) -> None:
    assert describe(folder) == {"b": entry_of(b"2" * 3_000_000), "deep/a, with a comma": Entry(0, 0)}


def test_a_single_file_has_a_manifest_too(folder: Path) -> None:
    assert describe(folder / "b") == {"": entry_of(b"2" * 3_000_000)}


def test_a_manifest_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    for output in (folder, folder / "b"):
        write_manifest(describe(output), tmp_path / "manifest.csv")
        assert read_manifest(tmp_path / "manifest.csv") == describe(output)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.csv is missing"):
        read_manifest(tmp_path / "manifest.csv")


@given(data=st.data(), entries=st.dictionaries(st.text("abc_/", min_size=1), st.builds(entry_of, st.binary())))
def test_a_changed_byte_of_a_manifest_is_noticed_and_hides_nothing_of_what_it_said(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, entries: dict[str, Entry]
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    write_manifest(entries, path)
    contents = bytearray(path.read_bytes())
    contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(contents)
    with pytest.raises(ManifestError, match="is damaged") as raised:
        read_manifest(path)
    assert raised.value.intact == entries
