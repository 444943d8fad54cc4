import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.storage.allocate import allocate
from tests.support.disks import mounted


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_a_file_gets_its_size_and_is_zeros(descriptor: int) -> None:
    allocate(descriptor, 10_000)
    assert os.pread(descriptor, 20_000, 0) == bytes(10_000)


def test_what_was_written_stays_and_nothing_is_cut_off(descriptor: int) -> None:
    os.pwrite(descriptor, b"tench", 4096)
    for size in (10_000, 100):
        allocate(descriptor, size)
        assert os.pread(descriptor, 20_000, 0) == bytes(4096) + b"tench" + bytes(10_000 - 4096 - 5)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        descriptor = os.open(disk / "file", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError) as raised:
            allocate(descriptor, 1 << 20)
        os.close(descriptor)
        assert raised.value.errno == errno.ENOSPC


def test_a_file_system_that_cannot_allocate_gives_the_file_its_size(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luigi_ilsvrc.storage.allocate._allocate", lambda descriptor, size: False)
    allocate(descriptor, 10_000)
    allocate(descriptor, 100)
    assert os.fstat(descriptor).st_size == 10_000
