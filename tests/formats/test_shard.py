import errno
from pathlib import Path
from typing import Any

import pytest

from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError, ShardFile, write_shard
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.disk import DiskError
from luigi_ilsvrc.storage.manifest import entry_of
from tests.formats.planned import jpeg, location, write_images
from tests.support.disks import largest_file


def write(directory: Path, images: list[PlannedImage], path: Path, progress: Progress = no_progress) -> Path:
    with ImageReader(directory, directory) as reader:
        write_shard(tfrecord, reader, images, path, progress)
    return path


def test_a_shard_without_images_is_an_empty_file(tmp_path: Path) -> None:
    assert write(tmp_path, [], tmp_path / "shard").read_bytes() == b""


def test_a_shard_is_read_in_order_by_tensorflow(tmp_path: Path, tensorflow: Any) -> None:
    images = {f"n01440764_{number}.JPEG": jpeg(8 + number) for number in range(5)}
    path = write(tmp_path, write_images(tmp_path, images), tmp_path / "shard")
    parse = tensorflow.train.Example.FromString
    found = [parse(record.numpy()).features.feature for record in tensorflow.data.TFRecordDataset(str(path))]
    names = [feature["image/filename"].bytes_list.value[0].decode() for feature in found]
    encoded = [feature["image/encoded"].bytes_list.value[0] for feature in found]
    assert list(zip(names, encoded, strict=True)) == list(images.items())


def test_the_progress_counts_images(tmp_path: Path) -> None:
    planned = write_images(tmp_path, {f"n01440764_{number}.JPEG": jpeg() for number in range(2)})
    reported: list[tuple[str, int, int | None, str]] = []
    write(tmp_path, planned, tmp_path / "shard", lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(1, 2, "images"), (2, 2, "images")]


def test_size_and_crc_of_a_shard_are_those_of_its_file(tmp_path: Path) -> None:
    planned = write_images(tmp_path, {f"n01440764_{number}.JPEG": jpeg(8 + number) for number in range(3)})
    with ImageReader(tmp_path, tmp_path) as reader:
        entry = write_shard(tfrecord, reader, planned, tmp_path / "shard").entry
    assert entry == entry_of((tmp_path / "shard").read_bytes())


def test_an_earlier_file_is_overwritten(tmp_path: Path) -> None:
    for contents in (b"a" * 100, b"b"):
        with ShardFile(tmp_path / "shard") as shard:
            shard.write([contents])
    assert (tmp_path / "shard").read_bytes() == b"b"


def test_what_the_disk_takes_only_in_part_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    with largest_file(1000), pytest.raises(OSError) as raised, ShardFile(path) as shard:
        shard.write([b"a", 2000 * b"b"])
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    planned = write_images(tmp_path, {"n01440764_1.JPEG": jpeg()})
    with pytest.raises(OSError) as raised:
        write(tmp_path, planned, Path("/dev/full"))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/dev/full")


def test_a_shard_that_will_not_fit_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    planned = [PlannedImage(location("n01440764_1.JPEG", 0, 10**18), 1, "tench", [])]
    with pytest.raises(DiskError, match="1,000,000,000,000,000,000 bytes"):
        write(tmp_path, planned, tmp_path / "shard")
    assert not (tmp_path / "shard").exists()


def test_every_bad_image_of_a_shard_is_named_with_archive_and_offset(tmp_path: Path) -> None:
    images = {"n01440764_1.JPEG": jpeg(), "n01440764_2.JPEG": b"not an image", "n01440764_3.JPEG": b"nor this"}
    planned = write_images(tmp_path, images)
    with pytest.raises(ShardError) as raised:
        write(tmp_path, planned, tmp_path / "shard")
    first, *named = str(raised.value).splitlines()
    assert first.startswith("2 images ")
    for image, line in zip(planned[1:], named, strict=True):
        assert f"{image.location.name} in {tmp_path}/training_images.tar at byte {image.location.offset}: " in line


def test_only_the_first_ten_bad_images_are_named(tmp_path: Path) -> None:
    planned = write_images(tmp_path, {f"n01440764_{number}.JPEG": b"not an image" for number in range(12)})
    with pytest.raises(ShardError) as raised:
        write(tmp_path, planned, tmp_path / "shard")
    first, *named = str(raised.value).splitlines()
    assert first.startswith("12 images ")
    assert len(named) == 11
    assert "2 more" in named[-1]


def test_an_image_that_cannot_be_read_ends_the_shard(tmp_path: Path) -> None:
    planned = write_images(tmp_path, {"n01440764_1.JPEG": jpeg()})
    (tmp_path / "training_images.tar").unlink()
    with pytest.raises(ArchiveError, match=r"training_images\.tar"):
        write(tmp_path, planned, tmp_path / "shard")
