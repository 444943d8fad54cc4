from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.storage.kept import keep, keep_lines, kept, kept_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "begun"


def test_what_is_written_first_holds(path: Path) -> None:
    assert keep(path, "first\n") == "first\n"
    assert keep(path, "second\n") == "first\n"
    assert kept(path) == "first\n"


def test_lines_that_are_written_first_hold(path: Path) -> None:
    assert keep_lines(path, "quality=90\n") == "quality=90\n"
    assert keep_lines(path, "quality=80\n") == "quality=90\n"
    assert kept_lines(path) == "quality=90\n"


@given(st.data())
def test_a_changed_byte_or_a_cut_of_lines_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("kept") / "begun"
    keep_lines(path, "resize=short:256\nquality=90\n")
    contents = path.read_bytes()
    place = data.draw(st.integers(0, len(contents) - 1))
    changed = bytes([contents[place] ^ data.draw(st.integers(1, 255))])
    path.write_bytes(data.draw(st.sampled_from([contents[:place], contents[:place] + changed + contents[place + 1 :]])))
    assert kept_lines(path) is None


def test_damaged_lines_are_written_again(path: Path) -> None:
    path.write_bytes(b"")
    assert keep_lines(path, "quality=90\n") == "quality=90\n"
    assert kept_lines(path) == "quality=90\n"
