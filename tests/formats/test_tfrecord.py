import hashlib
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.images import RGBImage, as_rgb_jpeg
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
from luigi_ilsvrc.formats.tfrecord import RECORD_OVERHEAD, frame, read_records
from luigi_ilsvrc.layouts.index import ImageLocation
from tests.formats.planned import jpeg, planned

FEATURES = {
    "image/height",
    "image/width",
    "image/channels",
    "image/class/label",
    "image/class/synset",
    "image/class/text",
    "image/colorspace",
    "image/format",
    "image/filename",
    "image/encoded",
    "image/object/bbox/xmin",
    "image/object/bbox/xmax",
    "image/object/bbox/ymin",
    "image/object/bbox/ymax",
    "image/object/bbox/label",
}
RECORDS = [b"", b"a", b"bc" * 20, bytes(range(256))]


# The Example ---------------------------------------------------------------------------------------------------------


def encode(image: PlannedImage, encoded: RGBImage) -> bytes:
    return b"".join(tfrecord.encode(image, encoded))


def features_of(tensorflow: Any, record: bytes) -> dict[str, Any]:
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in tensorflow.train.Example.FromString(record).features.feature.items()
    }


def test_an_example_has_exactly_the_promised_features(tensorflow: Any) -> None:
    image = planned("n01440764_2.JPEG", [(0.1, 0.2, 0.3, 0.4), (0.0, 0.25, 1.0, 0.5)])
    features = features_of(tensorflow, encode(image, as_rgb_jpeg(jpeg(8, 6))))
    assert set(features) == FEATURES
    assert features["image/height"] == [6]
    assert features["image/width"] == [8]
    assert features["image/channels"] == [3]
    assert features["image/class/label"] == [1]
    assert features["image/class/synset"] == [b"n01440764"]
    assert features["image/class/text"] == [b"tench"]
    assert features["image/colorspace"] == [b"RGB"]
    assert features["image/format"] == [b"JPEG"]
    assert features["image/filename"] == [b"n01440764_2.JPEG"]
    assert features["image/encoded"] == [jpeg(8, 6)]
    assert features["image/object/bbox/xmin"] == pytest.approx([0.1, 0.0])
    assert features["image/object/bbox/ymin"] == pytest.approx([0.2, 0.25])
    assert features["image/object/bbox/xmax"] == pytest.approx([0.3, 1.0])
    assert features["image/object/bbox/ymax"] == pytest.approx([0.4, 0.5])
    assert features["image/object/bbox/label"] == [1, 1]


def test_an_example_without_boxes_has_empty_box_features(tensorflow: Any) -> None:
    features = features_of(tensorflow, encode(planned(), as_rgb_jpeg(jpeg())))
    assert set(features) == FEATURES
    assert features["image/object/bbox/xmin"] == features["image/object/bbox/label"] == []


def test_the_bytes_of_an_example_repeat_in_another_process() -> None:
    program = (
        "import hashlib; from luigi_ilsvrc.formats import tfrecord; from luigi_ilsvrc.dataset.images import RGBImage;"
        "from luigi_ilsvrc.formats.plan import PlannedImage; from luigi_ilsvrc.layouts.index import ImageLocation as L;"
        "image = PlannedImage(L('a', 'n', 'f', 0, 1), 1, 'text', [(0.1, 0.2, 0.3, 0.4)]);"
        "print(hashlib.md5(b''.join(tfrecord.encode(image, RGBImage(b'jpeg', 1, 2)))).hexdigest())"
    )
    image = PlannedImage(ImageLocation("a", "n", "f", 0, 1), 1, "text", [(0.1, 0.2, 0.3, 0.4)])
    here = hashlib.md5(encode(image, RGBImage(b"jpeg", 1, 2))).hexdigest()
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


@given(st.binary(max_size=500))
def test_the_image_in_an_example_is_read_back(encoded: bytes) -> None:
    assert tfrecord.image_in(encode(planned(boxes=[(0.1, 0.2, 0.3, 0.4)]), RGBImage(encoded, 6, 8))) == encoded


@given(st.binary(max_size=500))
def test_the_image_in_an_example_of_tensorflows_is_read_back(tensorflow: Any, encoded: bytes) -> None:
    train = tensorflow.train
    feature = {
        "image/encoded": train.Feature(bytes_list=train.BytesList(value=[encoded])),
        "image/height": train.Feature(int64_list=train.Int64List(value=[6])),
        "image/object/bbox/xmin": train.Feature(float_list=train.FloatList(value=[])),
    }
    example = train.Example(features=train.Features(feature=feature))
    assert tfrecord.image_in(example.SerializeToString()) == encoded


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_with_an_image_or_a_shard_error(record: bytes) -> None:
    with suppress(ShardError):
        assert isinstance(tfrecord.image_in(record), bytes)


@given(data=st.data())
def test_a_damaged_record_has_an_image_or_gives_a_shard_error(data: st.DataObject) -> None:
    record = bytearray(encode(planned(boxes=[(0.1, 0.2, 0.3, 0.4)]), RGBImage(b"jpeg" * 20, 6, 8)))
    for position in data.draw(st.lists(st.integers(0, len(record) - 1), min_size=1, max_size=4)):
        record[position] = data.draw(st.integers(0, 255))
    with suppress(ShardError):
        assert isinstance(tfrecord.image_in(bytes(record)), bytes)


@pytest.mark.parametrize("record", [b"", b"\xff\xff\xff", b"\x0a\x00"])
def test_a_record_without_an_image_is_a_shard_error_that_names_the_feature(record: bytes) -> None:
    with pytest.raises(ShardError, match="Example"):
        tfrecord.image_in(record)


# The names of shards -------------------------------------------------------------------------------------------------


def test_the_name_of_a_shard_has_split_number_and_count() -> None:
    assert tfrecord.shard_name("train", 0, 1024) == "train-00000-of-01024"
    assert tfrecord.shard_name("validation", 127, 128) == "validation-00127-of-00128"


@given(split=st.sampled_from(["train", "validation"]), num_shards=st.integers(1, 99_999), data=st.data())
def test_the_name_of_any_shard_is_recognised(split: str, num_shards: int, data: st.DataObject) -> None:
    shard = data.draw(st.integers(0, num_shards - 1))
    assert tfrecord.is_shard_name(tfrecord.shard_name(split, shard, num_shards))


@pytest.mark.parametrize(
    "name",
    [
        "train-00008-of-00008",
        "train-0-of-8",
        "test-00000-of-00008",
        "train-00000-of-00008.partial",
        "features.json",
        "",
    ],
)
def test_other_names_are_not_those_of_shards(name: str) -> None:
    assert not tfrecord.is_shard_name(name)


# Written -------------------------------------------------------------------------------------------------------------


def write(path: Path, records: list[list[bytes]]) -> Path:
    path.write_bytes(b"".join(chunk for record in records for chunk in frame(record)))
    return path


def write_with_tensorflow(tensorflow: Any, path: Path, records: list[bytes]) -> Path:
    with tensorflow.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


@given(st.lists(st.lists(st.binary(max_size=2000), max_size=5), max_size=5))
def test_a_file_of_records_has_the_bytes_that_tensorflow_gives_it(tensorflow: Any, records: list[list[bytes]]) -> None:
    with TemporaryDirectory() as directory:
        ours = write(Path(directory, "ours"), records)
        theirs = write_with_tensorflow(tensorflow, Path(directory, "theirs"), [b"".join(chunks) for chunks in records])
        assert ours.read_bytes() == theirs.read_bytes()


# Read ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write(tmp_path / "shard", [[record] for record in RECORDS])


def outcome(path: Path) -> list[bytes] | str:
    """Return the records of a file, or how it is damaged."""
    try:
        return list(read_records(path))
    except ShardError as error:
        return str(error)


def outcome_of_tensorflow(tensorflow: Any, path: Path) -> list[bytes] | None:
    """Return the records of a file; None if it is damaged."""
    try:
        return [record.numpy() for record in tensorflow.data.TFRecordDataset(str(path))]
    except tensorflow.errors.DataLossError:
        return None


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_a_file_written_by_tensorflow_is_read_back(tensorflow: Any, records: list[bytes]) -> None:
    with TemporaryDirectory() as directory:
        path = write_with_tensorflow(tensorflow, Path(directory, "shard"), records)
        assert list(read_records(path)) == records


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_a_file_of_our_own_is_read_back(records: list[bytes]) -> None:
    with TemporaryDirectory() as directory:
        path = write(Path(directory, "shard"), [[record] for record in records])
        assert list(read_records(path)) == records


def test_a_flipped_byte_is_found_wherever_it_is(shard: Path) -> None:
    whole = shard.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        shard.write_bytes(damaged)
        assert isinstance(outcome(shard), str), position


def test_a_flipped_byte_of_a_file_of_tensorflows_is_found_wherever_it_is(tensorflow: Any, tmp_path: Path) -> None:
    whole = write_with_tensorflow(tensorflow, tmp_path / "shard", RECORDS).read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        (tmp_path / "shard").write_bytes(damaged)
        assert isinstance(outcome(tmp_path / "shard"), str), position


def test_truncation_at_any_byte_is_found_or_leaves_whole_records(shard: Path) -> None:
    whole = shard.read_bytes()
    ends = {0: 0}
    for number, record in enumerate(RECORDS, start=1):
        ends[max(ends) + RECORD_OVERHEAD + len(record)] = number
    for size in range(len(whole)):
        shard.write_bytes(whole[:size])
        found = outcome(shard)
        if size in ends:
            assert found == RECORDS[: ends[size]]
        else:
            assert isinstance(found, str)
            assert "truncated" in found


def test_bytes_after_the_last_record_are_found_with_their_position(shard: Path) -> None:
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes() + b"abc")
    with pytest.raises(ShardError, match=f"byte {size}"):
        list(read_records(shard))


def test_a_length_of_exabytes_is_refused_before_as_much_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "shard", [[b"a"]])
    length = (1 << 62).to_bytes(8, "little")
    crc = google_crc32c.value(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path.write_bytes(length + masked.to_bytes(4, "little") + path.read_bytes()[12:])
    with pytest.raises(ShardError, match="truncated.*byte 0"):
        list(read_records(path))


@given(data=st.data(), records=st.lists(st.binary(max_size=60), max_size=4))
def test_what_is_read_of_a_changed_file_is_what_tensorflow_reads(
    tensorflow: Any, data: st.DataObject, records: list[bytes]
) -> None:
    with TemporaryDirectory() as directory:
        path = write(Path(directory, "shard"), [[record] for record in records])
        contents = bytearray(path.read_bytes())
        start = data.draw(st.integers(0, len(contents)))
        end = data.draw(st.integers(start, min(start + 40, len(contents))))
        contents[start:end] = data.draw(st.binary(max_size=40))
        path.write_bytes(contents)
        ours = outcome(path)
        # Tensorflow's reader takes fewer bytes than a header after the last record for the end, and ours for damage.
        assert isinstance(ours, str) or ours == outcome_of_tensorflow(tensorflow, path)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_a_shard_error(contents: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "shard")
        path.write_bytes(contents)
        assert isinstance(outcome(path), list | str)


def test_a_missing_file_is_an_error_of_the_operating_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_records(tmp_path / "shard"))
