"""Archives that rot, before or after something was cut from them."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import CHECKSUM_FILE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE, Archive
from luigi_ilsvrc.download.checksums import read_checksums
from luigi_ilsvrc.layouts.index import read_index
from tests.reliability.flip import build_contents, named
from tests.support.running import QUICK, luigi, times
from tests.tasks.verification.commands import assert_named, assert_whole_after_a_build, build, verify

pytestmark = pytest.mark.slow

SYNSET = "n02105855"


def rot(data_dir: Path, built: Path, archive: Archive) -> str:
    """Change a pixel of an image in an archive; its file is as old as before. Return the image's name."""
    split = "train" if archive is TRAIN_ARCHIVE else "validation"
    # Not a PNG or one with four colours, of which the records have other bytes.
    images = read_index(built / "ilsvrc2012" / "index" / split, SYNSET)
    path = data_dir / "ilsvrc2012" / archive.local_name
    contents, before = bytearray(path.read_bytes()), path.stat()
    image = next(it for it in images if b"JFIF" in contents[it.offset : it.offset + 20])
    contents[image.offset + image.size - 10] ^= 0x02
    # A new file: the old one may be a link to that of the source.
    path.unlink()
    path.write_bytes(contents)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return image.name


def shards_with(data_dir: Path, image: str) -> set[Path]:
    shards = (data_dir / "ilsvrc2012" / "tfrecords").iterdir()
    return {shard for shard in shards if image.encode() in shard.read_bytes()}


@pytest.mark.parametrize(
    ("task", "archive"), [("DownloadTrain", TRAIN_ARCHIVE), ("DownloadValidation", VALIDATION_ARCHIVE)]
)
def test_of_an_archive_that_rots_before_the_extraction_all_that_was_cut_from_it_is_found_and_made_again(
    built: Path, ilsvrc: Path, tmp_path: Path, task: str, archive: Archive
) -> None:
    data_dir = tmp_path / "data"
    assert luigi(task, "--data-dir", data_dir, "--source", ilsvrc)[0] == 0
    image = rot(data_dir, built, archive)
    assert build(data_dir, ilsvrc)[0] == 0
    assert build_contents(data_dir) != build_contents(built)
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert status == 30, output
    assert data_dir / "ilsvrc2012" / archive.local_name in named(output)
    assert shards_with(data_dir, image) == set(), "removed"
    assert not list((data_dir / "ilsvrc2012").glob(f"*_images/{SYNSET}/{image}")), "removed"
    assert_whole_after_a_build(data_dir, built, ilsvrc)


@pytest.mark.parametrize("archive", [TRAIN_ARCHIVE, VALIDATION_ARCHIVE])
def test_of_an_archive_that_rots_after_the_extraction_only_itself_is_named_and_brought_again(
    data_dir: Path, built: Path, ilsvrc: Path, archive: Archive
) -> None:
    rot(data_dir, built, archive)
    dataset = data_dir / "ilsvrc2012"
    made = ("training_images", "validation_images", "tfrecords")
    before = {name: times(dataset / name) for name in made}
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {dataset / archive.local_name})
    assert_whole_after_a_build(data_dir, built, ilsvrc)
    assert {name: times(dataset / name) for name in made} == before


def test_what_was_extracted_wrongly_is_found_by_the_archive_although_its_manifest_agrees(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    # As where an archive that has rotted was brought again since.
    other = data_dir.with_name("other")
    assert luigi("DownloadTrain", "--data-dir", other, "--source", ilsvrc)[0] == 0
    image = rot(other, built, TRAIN_ARCHIVE)
    assert build(other, ilsvrc)[0] == 0
    name = f"training_images/{SYNSET}"
    for copied in (f"{name}/{image}", f"index/manifests/{name}.csv"):
        path = data_dir / "ilsvrc2012" / copied
        path.write_bytes((other / "ilsvrc2012" / copied).read_bytes())
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {data_dir / "ilsvrc2012" / name / image})
    assert_whole_after_a_build(data_dir, built, ilsvrc)


# Images that do not decode -------------------------------------------------------------------------------------------


@pytest.fixture
def cut(built: Path, ilsvrc: Path, tmp_path: Path) -> tuple[Path, str]:
    """A source with an image that has lost its end before it was packed, and the image's name."""
    source = Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    image = read_index(built / "ilsvrc2012" / "index" / "train", SYNSET)[-1]
    archive = source / TRAIN_ARCHIVE.name
    with archive.open("r+b") as file:
        file.seek(image.offset + image.size // 2)
        file.write(bytes(image.size - image.size // 2))
    sums = read_checksums(source / CHECKSUM_FILE) | {archive.name: hashlib.md5(archive.read_bytes()).hexdigest()}
    (source / CHECKSUM_FILE).write_text("".join(f"{md5}  {name}\n" for name, md5 in sums.items()))
    return source, image.name


def test_of_an_archive_without_a_given_sum_the_images_have_to_decode(cut: tuple[Path, str], tmp_path: Path) -> None:
    source, image = cut
    (source / CHECKSUM_FILE).unlink()
    unchecked = ("--data-dir", tmp_path / "data", "--source", source, "--checksums", "none", *QUICK)
    assert luigi("BuildAll", *unchecked)[0] == 0
    status, output = luigi("VerifyBuild", *unchecked)
    assert_named(status, output, {tmp_path / "data" / "ilsvrc2012" / "training_images" / SYNSET / image})
    assert "it cannot be decoded" in output


def test_an_archive_with_the_sum_that_was_given_may_have_an_image_that_does_not_decode(
    cut: tuple[Path, str], tmp_path: Path
) -> None:
    source, _ = cut
    checked = ("--data-dir", tmp_path / "data", "--source", source, *QUICK)
    assert luigi("BuildAll", *checked)[0] == 0
    status, output = luigi("VerifyBuild", *checked)
    assert status == 0, output
