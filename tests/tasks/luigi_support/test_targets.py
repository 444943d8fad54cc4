import os
from pathlib import Path

import pytest

from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget, AtomicTarget


@pytest.mark.parametrize("kind", [AtomicTarget, AtomicFolderTarget])
def test_an_output_exists_when_its_block_has_ended(tmp_path: Path, kind: type[AtomicTarget]) -> None:
    target = kind(tmp_path / "new" / "output")
    with target.temporary_path() as path:
        assert Path(path).exists()
        assert not target.exists()
    assert target.exists()
    assert os.listdir(tmp_path / "new") == ["output"]


@pytest.mark.parametrize("kind", [AtomicTarget, AtomicFolderTarget])
def test_an_output_whose_block_fails_does_not_exist(tmp_path: Path, kind: type[AtomicTarget]) -> None:
    target = kind(tmp_path / "output")
    with pytest.raises(RuntimeError), target.temporary_path():
        raise RuntimeError
    assert os.listdir(tmp_path) == []
