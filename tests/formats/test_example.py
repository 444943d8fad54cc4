from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.formats.example import (
    bytes_feature,
    encode_example,
    float_feature,
    int64_feature,
    read_bytes_feature,
    text_feature,
)

Values: TypeAlias = Mapping[str, bytes | str | list[int] | tuple[float, ...]]
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


def as_tensorflows(train: Any, values: Values, deterministic: bool = True) -> bytes:
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
    return bytes(example.SerializeToString(deterministic=deterministic))


# Written -------------------------------------------------------------------------------------------------------------


@given(features)
def test_an_example_has_the_bytes_that_tensorflow_gives_it(tensorflow: Any, values: Values) -> None:
    assert as_ours(values) == as_tensorflows(tensorflow.train, values)


def test_an_example_with_a_large_image_has_the_bytes_that_tensorflow_gives_it(tensorflow: Any) -> None:
    values: Values = {"a": 3 * (1 << 20) * b"x", "b": [1]}
    assert as_ours(values) == as_tensorflows(tensorflow.train, values)


def test_the_order_in_which_features_are_given_changes_nothing() -> None:
    assert as_ours({"a/": [1], "b/": b"2"}) == as_ours({"b/": b"2", "a/": [1]})


# Read ----------------------------------------------------------------------------------------------------------------


def expected_bytes(values: Values) -> dict[str, bytes]:
    return {
        name: value if isinstance(value, bytes) else value.encode()
        for name, value in values.items()
        if isinstance(value, bytes | str)
    }


@given(features)
def test_each_string_of_bytes_is_read_from_our_own_example(values: Values) -> None:
    example = as_ours(values)
    expected = expected_bytes(values)
    assert {name: read_bytes_feature(example, name) for name in expected} == expected


@given(features, st.booleans())
def test_each_string_of_bytes_is_read_from_tensorflows_example(
    tensorflow: Any, values: Values, deterministic: bool
) -> None:
    example = as_tensorflows(tensorflow.train, values, deterministic)
    expected = expected_bytes(values)
    assert {name: read_bytes_feature(example, name) for name in expected} == expected


@given(features)
def test_a_feature_that_is_not_there_is_a_value_error_that_names_it(values: Values) -> None:
    with pytest.raises(ValueError, match="image/encoded"):
        read_bytes_feature(as_ours(values), "image/encoded")


def test_the_beginning_of_a_name_is_not_the_name() -> None:
    with pytest.raises(ValueError):
        read_bytes_feature(as_ours({"image/encoded": b"1"}), "image/enc")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_value_error(example: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(read_bytes_feature(example, "image/encoded"), bytes)


@given(data=st.data(), value=st.binary(min_size=1, max_size=200))
def test_a_damaged_example_gives_a_value_or_a_value_error(data: st.DataObject, value: bytes) -> None:
    damaged = bytearray(as_ours({"image/encoded": value, "image/height": [6], "image/class/text": "tench"}))
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert isinstance(read_bytes_feature(bytes(damaged), "image/encoded"), bytes)


@given(data=st.data(), value=st.binary(min_size=1, max_size=200))
def test_a_truncated_example_is_a_value_error(data: st.DataObject, value: bytes) -> None:
    example = as_ours({"image/encoded": value, "image/height": [6]})
    with pytest.raises(ValueError):
        read_bytes_feature(example[: data.draw(st.integers(0, len(example) - 1))], "image/encoded")
