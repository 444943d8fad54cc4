import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.progress import BYTES
from luigi_ilsvrc.storage.digests import CHUNK, md5_of_file, read_chunks


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_the_chunks_of_a_file_are_its_contents(tmp_path: Path, size: int) -> None:
    contents = os.urandom(size)
    (tmp_path / "file").write_bytes(contents)
    chunks = [bytes(chunk) for chunk in read_chunks(tmp_path / "file")]
    assert b"".join(chunks) == contents
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks)


@given(st.binary(max_size=2000))
def test_the_sum_of_a_file_is_that_of_its_bytes(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    path = tmp_path_factory.mktemp("md5") / "file"
    path.write_bytes(contents)
    assert md5_of_file(path) == hashlib.md5(contents).hexdigest()


def test_the_progress_of_a_sum_is_in_bytes_with_the_stage_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(CHUNK + 1))
    reported: list[tuple[str, int, int | None, str]] = []
    md5_of_file(tmp_path / "file", lambda *report: reported.append(report), "verifying")
    assert reported == [("verifying", CHUNK, CHUNK + 1, BYTES), ("verifying", CHUNK + 1, CHUNK + 1, BYTES)]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        md5_of_file(tmp_path / "none")
    assert str(raised.value.filename) == str(tmp_path / "none")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no /proc")
def test_a_file_that_fails_while_it_is_read_is_named() -> None:
    with pytest.raises(OSError) as raised:
        list(read_chunks(Path("/proc/self/mem")))
    assert raised.value.filename == "/proc/self/mem"
