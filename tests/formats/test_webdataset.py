import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.images import RGBImage, as_rgb_jpeg
from luigi_ilsvrc.formats import webdataset
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
from tests.formats.planned import jpeg, location, planned

BOXES: list[tuple[float, ...]] = [(0.1, 0.2, 0.3, 0.4), (0.0, 0.25, 1.0, 0.5)]


def write(directory: Path, images: list[PlannedImage], encoded: bytes) -> Path:
    records = (webdataset.encode(image, as_rgb_jpeg(encoded)) for image in images)
    path = directory / "shard.tar"
    path.write_bytes(b"".join(chunk for record in records for chunk in record) + webdataset.END)
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard of two images."""
    return write(tmp_path, [planned(boxes=BOXES), planned("n01440764_7.JPEG")], jpeg(9, 6))


def test_a_sample_is_image_label_and_json_in_this_order(shard: Path) -> None:
    with tarfile.open(shard) as tar:
        names = tar.getnames()
        label = tar.extractfile("n01440764_2.cls")
        said = tar.extractfile("n01440764_2.json")
        assert label is not None
        assert said is not None
        assert label.read() == b"0"
        assert json.loads(said.read()) == {
            "filename": "n01440764_2.JPEG",
            "synset": "n01440764",
            "words": "tench",
            "label": 1,
            "height": 6,
            "width": 9,
            "boxes": [[0.1, 0.2, 0.3, 0.4], [0.0, 0.25, 1.0, 0.5]],
        }
    assert names == [f"n01440764_{number}.{ending}" for number in (2, 7) for ending in ("jpg", "cls", "json")]


def test_members_are_plain_ustar_without_owner_and_time(shard: Path) -> None:
    with tarfile.open(shard) as tar:
        for member in tar:
            assert member.isreg()
            assert (member.mode, member.mtime, member.uid, member.gid) == (0o644, 0, 0, 0)
            assert (member.uname, member.gname, member.pax_headers) == ("", "", {})
    assert shard.read_bytes()[257:265] == b"ustar\x0000"


def test_tar_lists_a_shard_without_a_warning(shard: Path) -> None:
    listed = subprocess.run(["tar", "tf", shard], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert listed.stdout.split()[0] == "n01440764_2.jpg"


def test_the_bytes_of_a_shard_are_the_same_wherever_it_is_made() -> None:
    image = planned(boxes=BOXES)
    record = b"".join(webdataset.encode(image, RGBImage(b"jpeg", 6, 9)))
    assert hashlib.sha256(record).hexdigest() == "b4dd07410d46e8c75027a96a1666ffac5108dbf9f6a9ac61644393ee460d568e"


@pytest.mark.parametrize(
    ("split", "shard_number", "count", "name"),
    [
        ("train", 0, 1024, "imagenet1k-train-0000.tar"),
        ("train", 1023, 1024, "imagenet1k-train-1023.tar"),
        ("validation", 7, 128, "imagenet1k-validation-007.tar"),
        ("validation", 7, 8, "imagenet1k-validation-7.tar"),
        ("train", 0, 1, "imagenet1k-train-0.tar"),
    ],
)
def test_a_shard_has_as_many_digits_as_the_last_one_needs(split: str, shard_number: int, count: int, name: str) -> None:
    assert webdataset.shard_name(split, shard_number, count) == name


@pytest.mark.parametrize(
    "name", ["imagenet1k-test-0.tar", "imagenet1k-train-0.tar.gz", "imagenet1k-train-.tar", "train-0.tar", "_info.json"]
)
def test_other_names_are_not_those_of_shards(name: str) -> None:
    assert not webdataset.is_shard_name(name)


def test_words_of_any_script_stand_in_the_json() -> None:
    image = PlannedImage(location("n01440764_2.JPEG"), 1, 'Ménière, "tench"', [])
    assert json.loads(webdataset.json_file(image, 6, 9))["words"] == 'Ménière, "tench"'


def test_a_flipped_byte_of_a_header_is_found_wherever_it_is(shard: Path) -> None:
    whole = shard.read_bytes()
    # The checksum itself may be written in several ways.
    for position in (*range(148), *range(156, 512)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        shard.write_bytes(damaged)
        with pytest.raises(ShardError):
            list(webdataset.read_records(shard))


def test_a_shard_that_ends_within_a_sample_is_truncated(shard: Path) -> None:
    whole = shard.read_bytes()
    for size in range(0, len(whole), 512):
        shard.write_bytes(whole[:size])
        with pytest.raises(ShardError, match="truncated|no header"):
            list(webdataset.read_records(shard))


def test_bytes_behind_the_end_are_found(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() + bytes(512))
    with pytest.raises(ShardError):
        list(webdataset.read_records(shard))


@given(st.binary(max_size=3000))
def test_any_bytes_are_samples_or_a_shard_error(contents: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "shard.tar")
        path.write_bytes(contents)
        try:
            assert b"".join(webdataset.read_records(path)) + webdataset.END == contents
        except ShardError as error:
            assert str(error)


@given(st.binary(max_size=2000))
def test_the_image_in_a_sample_is_read_back(encoded: bytes) -> None:
    record = b"".join(webdataset.encode(planned(), RGBImage(encoded, 6, 8)))
    assert webdataset.image_in(record) == encoded
