import json
from pathlib import Path
from typing import Any

import pytest

from luigi_ilsvrc import build_record
from luigi_ilsvrc.build_record import (
    BuildRecordError,
    begin,
    digest_of,
    is_as_written,
    is_remembered,
    read_archive_record,
    read_record,
    remember_archive,
)
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths

SUMS: dict[str, str | None] = {TRAIN_ARCHIVE.name: "0123456789abcdef0123456789abcdef"}


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    return DataSetPaths(tmp_path / "data")


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"my-{name}" for name in ("unique_synsets.txt", "synset_english_key.txt")}
    for name, path in paths.items():
        path.write_text(f"the table {name}")
    return paths


# The build -----------------------------------------------------------------------------------------------------------


def test_a_build_that_was_not_begun_has_no_record(paths: DataSetPaths) -> None:
    assert read_record(paths) is None


def test_a_record_that_another_process_writes_while_it_is_looked_for_is_not_damaged(
    paths: DataSetPaths, tables: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = build_record._read
    looked_for: list[Path] = []

    def read_and_be_overtaken(path: Path) -> dict[str, Any] | None:
        values = read(path)
        looked_for.append(path)
        if len(looked_for) == 2:
            begin(paths, tables, SUMS, "/source")
        return values

    monkeypatch.setattr(build_record, "_read", read_and_be_overtaken)
    assert read_record(paths) is None
    assert read_record(paths) is not None


def test_the_record_has_the_digests_of_the_tables_the_sums_and_the_source(
    paths: DataSetPaths, tables: dict[str, Path]
) -> None:
    record = begin(paths, tables, SUMS, "/source")
    assert record == read_record(paths)
    assert record.tables == {name: digest_of(name, path) for name, path in tables.items()}
    assert (record.archives, record.source) == (SUMS, "/source")


def test_the_tables_are_kept(paths: DataSetPaths, tables: dict[str, Path]) -> None:
    record = begin(paths, tables, SUMS, "/source")
    for name, path in tables.items():
        assert paths.table(name, record.tables[name]).read_bytes() == path.read_bytes()


def test_the_same_again_changes_nothing(paths: DataSetPaths, tables: dict[str, Path]) -> None:
    first = begin(paths, tables, SUMS, "/source")
    before = paths.build_record.stat().st_mtime_ns
    upper: dict[str, str | None] = {name: (md5 or "").upper() for name, md5 in SUMS.items()}
    for sums in (SUMS, upper, {}, {TRAIN_ARCHIVE.name: None}):
        assert begin(paths, tables, sums, "https://elsewhere.example") == first
    assert paths.build_record.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["unique_synsets.txt", "synset_english_key.txt"])
def test_another_table_is_refused_by_name_and_nothing_is_written(
    paths: DataSetPaths, tables: dict[str, Path], name: str
) -> None:
    begin(paths, tables, SUMS, "/source")
    before = sorted(paths.index_folder.rglob("*"))
    tables[name].write_text("corrected")
    with pytest.raises(BuildRecordError, match=str(tables[name])):
        begin(paths, tables, SUMS, "/source")
    assert sorted(paths.index_folder.rglob("*")) == before


def test_another_sum_of_an_archive_is_refused_with_both(paths: DataSetPaths, tables: dict[str, Path]) -> None:
    begin(paths, tables, SUMS, "/source")
    paths.archive(TRAIN_ARCHIVE).touch()
    with pytest.raises(BuildRecordError, match=f"{TRAIN_ARCHIVE.name}.*{'f' * 32}.*{SUMS[TRAIN_ARCHIVE.name]}"):
        begin(paths, tables, {TRAIN_ARCHIVE.name: "f" * 32}, "/source")


def test_the_sum_of_an_archive_that_never_came_can_be_corrected(paths: DataSetPaths, tables: dict[str, Path]) -> None:
    begin(paths, tables, SUMS, "/source")
    begin(paths, tables, {TRAIN_ARCHIVE.name: "f" * 32}, "/source")
    record = read_record(paths)
    assert record is not None
    assert record.archives == {**SUMS, TRAIN_ARCHIVE.name: "f" * 32}


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "changed":
        path.write_bytes(whole.replace(b"/source", b"/Source"))
    elif how == "of another kind":
        path.write_text(json.dumps([1, 2]))
    else:
        path.write_bytes(whole[: len(whole) // 2] if how == "cut" else b"")


@pytest.mark.parametrize("how", ["empty", "cut", "changed", "of another kind"])
def test_a_damaged_record_is_read_from_its_copy(paths: DataSetPaths, tables: dict[str, Path], how: str) -> None:
    record = begin(paths, tables, SUMS, "/source")
    damage(paths.build_record, how)
    assert not is_as_written(paths.build_record)
    assert read_record(paths) == record


@pytest.mark.parametrize("how", ["empty", "cut", "changed", "of another kind"])
def test_if_the_copy_is_damaged_too_the_error_names_the_record(
    paths: DataSetPaths, tables: dict[str, Path], how: str
) -> None:
    begin(paths, tables, SUMS, "/source")
    for path in (paths.build_record, paths.build_record_copy):
        damage(path, how)
    with pytest.raises(BuildRecordError, match=str(paths.build_record)):
        read_record(paths)


# Archives ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "training_images.tar"
    path.write_bytes(b"an archive")
    return path


def test_an_archive_is_remembered_while_its_size_and_time_are_the_same(archive: Path, tmp_path: Path) -> None:
    remember_archive(archive, "0123", tmp_path / "record.json")
    record = read_archive_record(tmp_path / "record.json")
    assert record is not None
    assert record.md5 == "0123"
    assert is_remembered(archive, record)
    archive.write_bytes(b"other bytes")
    assert not is_remembered(archive, record)


def test_an_archive_that_is_gone_or_was_never_verified_is_not_remembered(archive: Path, tmp_path: Path) -> None:
    assert not is_remembered(archive, None)
    remember_archive(archive, "0123", tmp_path / "record.json")
    record = read_archive_record(tmp_path / "record.json")
    archive.unlink()
    assert not is_remembered(archive, record)


@pytest.mark.parametrize("contents", [b"", b"{", b"{}", b"[]"])
def test_a_damaged_record_of_an_archive_is_none(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "record.json").write_bytes(contents)
    assert read_archive_record(tmp_path / "record.json") is None
