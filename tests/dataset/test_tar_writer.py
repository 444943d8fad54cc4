import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.tar_header import BLOCK, is_header
from luigi_ilsvrc.dataset.tar_writer import header, padding, tar_size

NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0/", categories=["L", "N", "P"]), min_size=1)


@given(NAMES.filter(lambda name: len(name) <= 100), st.integers(0, 8**11 - 1), st.integers(0, 8**11 - 1))
def test_python_reads_name_size_and_time(name: str, size: int, mtime: int) -> None:
    member = tarfile.TarInfo.frombuf(header(name, size, mtime), "utf-8", "strict")
    assert (member.name, member.size, member.mtime) == (name, size, mtime)
    assert (member.mode, member.uid, member.gid, member.uname, member.gname) == (0o644, 0, 0, "", "")
    assert member.isreg()


def test_a_header_is_a_block_with_a_right_checksum() -> None:
    assert is_header(header("n01440764_10026.jpg", 4711))


@pytest.mark.parametrize(("name", "size"), [("n" * 101, 1), ("ä" * 51, 1), ("n", 8**11), ("n", -1)])
def test_what_does_not_fit_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="do not fit in a tar header"):
        header(name, size)


@pytest.mark.slow
def test_tar_lists_what_was_written(tmp_path: Path) -> None:
    files = {"a.jpg": b"x" * 700, "a.cls": b"7"}
    archive = io.BytesIO()
    for name, contents in files.items():
        archive.write(header(name, len(contents)) + contents + padding(len(contents)))
    archive.write(bytes(tar_size(map(len, files.values())) - archive.tell()))
    (tmp_path / "a.tar").write_bytes(archive.getvalue())
    assert archive.tell() % (20 * BLOCK) == 0
    listed = subprocess.run(["tar", "tf", tmp_path / "a.tar"], capture_output=True, text=True, check=True)
    assert (listed.stdout.split(), listed.stderr) == (["a.jpg", "a.cls"], "")
