import json
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.report.verifications import MOST, read_last


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    paths = DataSetPaths(tmp_path)
    paths.verifications.mkdir(parents=True)
    return paths


def write(paths: DataSetPaths, name: str, text: str = json.dumps({"files": 3, "bytes": 4, "records": 5})) -> None:
    (paths.verifications / name).write_text(text)


def test_the_last_verifications_come_first_and_those_of_parts_are_told(paths: DataSetPaths) -> None:
    write(paths, "2026-11-22.json")
    write(paths, "2026-11-24-part-3-of-7.json")
    write(paths, "2026-11-23-damage.txt", "damaged a: b\nmissing c: d\n")
    found = read_last(paths)
    assert [(it.date, it.part, it.findings) for it in found] == [
        ("2026-11-24", "3/7", 0),
        ("2026-11-23", "1/1", 2),
        ("2026-11-22", "1/1", 0),
    ]
    assert found[1].named == ["damaged a: b", "missing c: d"]
    assert (found[2].files, found[2].bytes, found[2].records) == (3, 4, 5)


def test_files_of_others_and_damaged_ones_are_left_out(paths: DataSetPaths) -> None:
    write(paths, "notes.txt")
    write(paths, "2026-11-22.json", "{}")
    write(paths, "2026-11-23.json", "[")
    assert read_last(paths) == []


def test_those_of_a_subset_or_a_size_are_told_from_those_of_the_whole(paths: DataSetPaths) -> None:
    write(paths, "2026-11-22.json")
    write(paths, "2026-11-23-dogs-max500.json")
    write(paths, "2026-11-24-part-3-of-7-dogs-max500-damage.txt", "damaged a: b\n")
    assert [it.date for it in read_last(paths)] == ["2026-11-22"]
    assert [(it.date, it.part) for it in read_last(paths, "-dogs-max500")] == [
        ("2026-11-24", "3/7"),
        ("2026-11-23", "1/1"),
    ]


def test_of_many_only_the_newest_are_read(paths: DataSetPaths) -> None:
    for day in range(1, 29):
        write(paths, f"2026-11-{day:02}.json")
    assert [it.date for it in read_last(paths)] == [f"2026-11-{day}" for day in range(28, 28 - MOST, -1)]


def test_a_build_that_was_not_verified_has_none(tmp_path: Path) -> None:
    assert read_last(DataSetPaths(tmp_path)) == []
