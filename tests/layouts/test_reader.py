import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc import miniature
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.layouts import class_folders, official
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.tar import ArchiveError
from tests.layouts.archives import SYNSETS, train_tar
from tests.support.strace import parse

Write = Callable[[bytes], Path]


def index_train(path: Path) -> list[ImageLocation]:
    return official.index_train(path, SYNSETS)


@pytest.fixture
def without_archive(tmp_path: Path, archive: Write) -> ImageLocation:
    """Where an image lay in an archive that has been deleted since."""
    path = archive(train_tar())
    location = index_train(path)[-1]
    path.unlink()
    return location


def extract(directory: Path, location: ImageLocation, contents: bytes) -> Path:
    path = directory / "training_images" / location.synset / location.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def read(directory: Path, location: ImageLocation) -> bytes:
    with ImageReader(directory, directory / "training_images") as reader:
        return reader.read(location)


def test_images_are_read_from_the_archive(tmp_path: Path, archive: Write) -> None:
    locations = index_train(archive(train_tar()))
    with ImageReader(tmp_path, tmp_path / "training_images") as reader:
        assert {image.name: reader.read(image) for image in locations} == {
            "n01443537_22.JPEG": b"fish" * 300,
            "n01443537_3.JPEG": b"gold",
            "n01440764_10.JPEG": b"tench",
        }


def test_the_archive_is_read_although_there_is_an_extracted_image(tmp_path: Path, archive: Write) -> None:
    location = index_train(archive(train_tar()))[-1]
    extract(tmp_path, location, b"other")
    assert read(tmp_path, location) == b"tench"


def test_an_image_is_read_from_its_class_folder_if_the_archive_is_gone(
    tmp_path: Path, without_archive: ImageLocation
) -> None:
    extract(tmp_path, without_archive, b"tench")
    assert read(tmp_path, without_archive) == b"tench"


def test_an_image_that_is_nowhere_is_named_with_both_places(tmp_path: Path, without_archive: ImageLocation) -> None:
    expected = f"{tmp_path}/training_images/n01440764/n01440764_10.JPEG .*{tmp_path}/training_images.tar"
    with pytest.raises(ArchiveError, match=expected):
        read(tmp_path, without_archive)


def test_an_extracted_image_of_another_size_is_named_with_both_sizes(
    tmp_path: Path, without_archive: ImageLocation
) -> None:
    path = extract(tmp_path, without_archive, b"ten")
    with pytest.raises(ArchiveError, match=f"{path} .*3 .*5"):
        read(tmp_path, without_archive)


def test_an_image_that_was_indexed_in_a_folder_is_read_there(tmp_path: Path) -> None:
    for synset in SYNSETS:
        extract(tmp_path, ImageLocation(f"{synset}_1.JPEG", synset, "", 0, 0), synset.encode())
    for location in class_folders.index_train(tmp_path / "training_images", SYNSETS):
        assert read(tmp_path, location) == location.synset.encode()


def test_an_archive_cut_after_it_was_indexed_is_noticed(tmp_path: Path, archive: Write) -> None:
    path = archive(train_tar())
    location = index_train(path)[-1]
    path.write_bytes(path.read_bytes()[: location.offset + 2])
    with pytest.raises(ArchiveError, match=f"{path} at byte {location.offset}: .*truncated"):
        read(tmp_path, location)


def test_another_archive_than_the_indexed_one_is_noticed(tmp_path: Path, archive: Write) -> None:
    location = index_train(archive(train_tar()))[0]
    path = archive(train_tar(n01443537=[("n01443537_3.JPEG", b"gold"), ("n01443537_22.JPEG", b"fish" * 300)]))
    with pytest.raises(ArchiveError, match=f"{path} at byte {location.offset}: .*not the one that was indexed"):
        read(tmp_path, location)


def test_an_image_is_described_by_name_file_and_byte(tmp_path: Path) -> None:
    location = ImageLocation("n01440764_10.JPEG", "n01440764", "training_images.tar", 512, 5)
    with ImageReader(tmp_path, tmp_path) as reader:
        assert reader.describe(location) == f"n01440764_10.JPEG in {tmp_path}/training_images.tar at byte 512"


# All images of a plan -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_all_images_are_those_that_are_read_one_by_one(tmp_path: Path, archive: Write, order: int) -> None:
    locations = index_train(archive(train_tar()))[::order]
    with ImageReader(tmp_path, tmp_path / "training_images") as reader:
        assert list(reader.read_all(locations)) == list(map(reader.read, locations))


def test_no_images_are_read_as_none(tmp_path: Path) -> None:
    with ImageReader(tmp_path, tmp_path / "training_images") as reader:
        assert list(reader.read_all([])) == []


READ_ALL = """
import random, sys
from pathlib import Path
from luigi_ilsvrc.layouts.official import index_train
from luigi_ilsvrc.layouts.reader import ImageReader
archive, synsets = Path(sys.argv[1]), Path(sys.argv[2]).read_text().split()
locations = index_train(archive, synsets)
random.Random(1).shuffle(locations)
with ImageReader(archive.parent, archive.parent) as reader:
    print(sum(len(image) for image in reader.read_all(locations)))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_disk_is_asked_for_each_image_before_it_is_read_and_for_nothing_else(tmp_path: Path) -> None:
    miniature.write(tmp_path / "source", synsets=5, train_images=200, validation_images=5)
    archive = tmp_path / "source" / TRAIN_ARCHIVE.name
    trace = tmp_path / "trace"
    done = subprocess.run(
        [
            *("strace", "-f", "-y", "-o", trace, "-e", "trace=fadvise64,pread64"),
            *(sys.executable, "-c", READ_ALL, archive, tmp_path / "source" / "unique_synsets.txt"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    calls = [call for call in parse(trace.read_text().splitlines()) if archive in call.descriptors]
    # The index reads headers, before anything is said of how images are read.
    begin = next(number for number, call in enumerate(calls) if "POSIX_FADV_RANDOM" in call.arguments)
    asked: list[range] = []
    for call in calls[begin + 1 :]:
        *_, size, last = call.arguments.rsplit(", ", 2)
        if call.name == "fadvise64":
            offset = int(call.arguments.rsplit(", ", 3)[1])
            asked.append(range(offset, offset + int(size)))
        else:
            offset, wanted = int(last), int(size)
            assert any(offset in span and offset + wanted - 1 in span for span in asked)
    images, asked_for = int(done.stdout), sum(map(len, asked))
    assert images < asked_for < 1.15 * images
