from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.miniature import MARKER, MiniatureError
from luigi_ilsvrc.miniature.directory import prepare_directory
from tests.miniature.reading import files


def test_missing_directories_are_made_and_marked(tmp_path: Path) -> None:
    prepare_directory(tmp_path / "new" / "miniature")
    assert list(files(tmp_path / "new" / "miniature")) == [MARKER]


@pytest.mark.parametrize("name", ["notes.txt", TRAIN_ARCHIVE.name])
def test_a_directory_that_holds_something_else_is_not_changed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(MiniatureError) as raised:
        prepare_directory(tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert files(tmp_path) == {name: b"precious"}


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(MiniatureError) as raised:
        prepare_directory(path)
    assert f"{path} is a file" in str(raised.value)
