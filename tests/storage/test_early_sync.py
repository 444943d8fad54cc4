import errno
import os
import threading
from pathlib import Path

import pytest

from luigi_ilsvrc.storage import early_sync as module
from luigi_ilsvrc.storage.early_sync import early_sync

ENOUGH = 64 << 20


def test_what_is_made_is_written_to_the_disk_before_the_folder_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()

    def sync(folder: Path) -> bool:
        assert folder == tmp_path
        synced.set()
        return True

    monkeypatch.setattr(module, "sync_file_system", sync)
    with early_sync(tmp_path) as written:
        written(1)
        assert not synced.is_set()
        written(ENOUGH)
        assert synced.wait(60)


def test_a_disk_that_does_not_take_the_files_is_an_error_here_as_it_will_not_be_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))

    monkeypatch.setattr(module, "sync_file_system", fail)
    with pytest.raises(OSError) as raised, early_sync(tmp_path) as written:
        written(ENOUGH)
    assert (raised.value.errno, raised.value.filename) == (errno.EIO, str(tmp_path))
