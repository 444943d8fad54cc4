import json
from pathlib import Path

import pytest

from luigi_ilsvrc.build_record import BuildRecord, serialize
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.report.fingerprint import fingerprint, is_current, seal
from luigi_ilsvrc.storage.publish import replace_file

COUNTS = {"train": 8, "validation": 3}


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    paths = DataSetPaths(tmp_path)
    record = BuildRecord({"unique_synsets.txt": "1" * 64}, {"a.tar": "2" * 32}, "/source")
    replace_file(paths.build_record, serialize(record))
    return paths


def of(paths: DataSetPaths, formats: tuple[str, ...] = ("tfrecord",), **counts: int) -> str:
    return fingerprint(paths, formats, {**COUNTS, **counts})


def test_other_formats_and_shard_counts_give_another_fingerprint(paths: DataSetPaths) -> None:
    assert len({of(paths), of(paths, ()), of(paths, train=4), of(paths, ("tfrecord", "webdataset"))}) == 4


def test_without_records_the_shard_counts_do_not_matter(paths: DataSetPaths) -> None:
    assert of(paths, (), train=4) == of(paths, ())


def test_other_archives_give_another_fingerprint_and_another_place_of_them_does_not(paths: DataSetPaths) -> None:
    before = of(paths)
    record = BuildRecord({"unique_synsets.txt": "1" * 64}, {"a.tar": "2" * 32}, "https://elsewhere.example")
    replace_file(paths.build_record, serialize(record))
    assert of(paths) == before
    replace_file(paths.build_record, serialize(BuildRecord(record.tables, {"a.tar": "3" * 32}, record.source)))
    assert of(paths) != before


def test_each_verification_that_ended_gives_another_fingerprint(paths: DataSetPaths) -> None:
    seen = [of(paths)]
    for name, text in (
        ("2026-11-22.json", json.dumps({"files": 1})),
        ("2026-11-22.json", json.dumps({"files": 2})),
        ("2026-11-23-damage.txt", "damaged"),
        ("2026-11-23-part-1-of-7.json", "{}"),
    ):
        replace_file(paths.verifications / name, text.encode())
        seen.append(of(paths))
    assert len(set(seen)) == len(seen)


def test_a_verification_that_still_runs_changes_nothing(paths: DataSetPaths) -> None:
    before = of(paths)
    replace_file(paths.verifications / "2026-11-22-1234" / "findings" / "a.json", b"{}")
    assert of(paths) == before


def test_a_page_is_current_if_it_is_whole_and_was_made_from_the_same(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    made_from = "a" * 64
    assert not is_current(page, made_from)
    whole = seal(b"<!DOCTYPE html>\n<p>words</p>\n", made_from)
    page.write_bytes(whole)
    assert is_current(page, made_from)
    assert not is_current(page, "b" * 64)
    for size in range(len(whole)):
        page.write_bytes(whole[:size])
        assert not is_current(page, made_from)
    page.write_bytes(whole + b"\n")
    assert not is_current(page, made_from)
    page.write_bytes(b" " + whole)
    assert not is_current(page, made_from)


def test_a_page_is_html_also_with_its_last_line() -> None:
    assert seal(b"</html>\n", "a" * 64).splitlines()[-1].startswith(b"<!-- made from aaaa")
