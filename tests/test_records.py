import errno
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
import tensorflow
from hypothesis import given
from hypothesis import strategies as st
from tensorflow import train

from luigi_ilsvrc.records import RecordWriter, bytes_feature, encode_example, float_feature, int64_feature, text_feature
from tests.reliability.disks import largest_file

Values: TypeAlias = dict[str, bytes | str | list[int] | tuple[float, ...]]
"""Of each feature: bytes, a string, whole numbers as a list, or numbers as a tuple."""

# Like the names that are used, none begins with another: protobuf's versions disagree which of two such is first.
names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=200).map("{}/".format)

features = st.dictionaries(
    names,
    st.binary(max_size=300)
    | names
    | st.lists(st.integers(0, 2**63 - 1), max_size=40)
    | st.lists(st.floats(width=32, allow_nan=False), max_size=40).map(tuple),
    max_size=20,
)


def as_ours(values: Values) -> bytes:
    encoded = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            encoded[name] = bytes_feature(value)
        elif isinstance(value, str):
            encoded[name] = text_feature(value)
        elif isinstance(value, list):
            encoded[name] = int64_feature(*value)
        else:
            encoded[name] = float_feature(*value)
    return b"".join(encode_example(encoded))


def as_tensorflow(values: Values) -> bytes:
    encoded = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            encoded[name] = train.Feature(bytes_list=train.BytesList(value=[value]))
        elif isinstance(value, str):
            encoded[name] = train.Feature(bytes_list=train.BytesList(value=[value.encode()]))
        elif isinstance(value, list):
            encoded[name] = train.Feature(int64_list=train.Int64List(value=value))
        else:
            encoded[name] = train.Feature(float_list=train.FloatList(value=value))
    example = train.Example(features=train.Features(feature=encoded))
    return bytes(example.SerializeToString(deterministic=True))


@given(features)
def test_an_example_has_the_bytes_that_tensorflow_gives_it(values: Values) -> None:
    assert as_ours(values) == as_tensorflow(values)


def test_an_example_with_a_large_image_has_the_bytes_that_tensorflow_gives_it() -> None:
    values: Values = {"a": 3 * (1 << 20) * b"x", "b": [1]}
    assert as_ours(values) == as_tensorflow(values)


@given(st.lists(st.lists(st.binary(max_size=2000), max_size=5), max_size=5))
def test_a_file_of_records_has_the_bytes_that_tensorflow_gives_it(records: list[list[bytes]]) -> None:
    with TemporaryDirectory() as directory:
        ours, theirs = Path(directory, "ours"), Path(directory, "theirs")
        with RecordWriter(ours) as writer:
            for pieces in records:
                writer.write(pieces)
        with tensorflow.io.TFRecordWriter(str(theirs)) as writer:
            for pieces in records:
                writer.write(b"".join(pieces))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_record_that_the_disk_takes_only_in_part_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    with RecordWriter(path) as writer, largest_file(1000), pytest.raises(OSError) as raised:
        writer.write([b"a", 2000 * b"b"])
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(path))
