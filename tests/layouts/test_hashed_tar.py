import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.layouts import hashed_tar
from luigi_ilsvrc.layouts.hashed_tar import open_hashed
from luigi_ilsvrc.progress import BYTES, no_progress

CHUNK = 1000
CONTENTS = bytes(range(251)) * 30


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashed_tar, "_CHUNK", CHUNK)
        patch.setattr(hashed_tar, "_REPORT_BYTES", CHUNK)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hashed") / "images.tar"
    path.write_bytes(CONTENTS)
    return path


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * CHUNK)), max_size=20))
def test_whatever_is_read_and_passed_over_the_bytes_and_the_sum_are_those_of_the_file(
    file: Path, steps: list[tuple[bool, int]]
) -> None:
    position = 0
    with open_hashed(file, "checking", no_progress) as tar:
        for is_read, size in steps:
            expected = CONTENTS[position : position + size]
            position += len(expected)
            if is_read:
                assert tar.read(size) == expected
            else:
                assert tar.skip(size) == (len(expected) == size)
            assert tar.position == position
        assert tar.md5_of_all() == hashlib.md5(CONTENTS).hexdigest()
        assert tar.position == len(CONTENTS)


def test_progress_counts_the_bytes_of_the_file(file: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    with open_hashed(file, "checking", lambda *report: reported.append(report)) as tar:
        tar.md5_of_all()
    assert {(stage, total, unit) for stage, _, total, unit in reported} == {("checking", len(CONTENTS), BYTES)}
    assert [done for _, done, *_ in reported] == list(range(CHUNK, len(CONTENTS), CHUNK))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, open_hashed(tmp_path, "checking", no_progress) as tar:
        tar.read(1)
    assert raised.value.filename == str(tmp_path)
