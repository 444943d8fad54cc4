import sys
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.datasets import DatasetError, tf_dataset
from luigi_ilsvrc.datasets.shards import find_shards
from luigi_ilsvrc.formats.plan import PlannedImage, read_plan
from luigi_ilsvrc.formats.tfrecord import image_in, read_records
from tests.datasets.shards import touch_shards, write_picture, write_shard
from tests.formats.planned import jpeg, planned

TRAIN_IMAGES, VALIDATION_IMAGES, SYNSETS = 90, 25, 5
"""Of the fixture `built`."""

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def plan(built: Path) -> list[PlannedImage]:
    """The training images, in the order of the plan."""
    directory = DataSetPaths(built).plan("train", 8)
    return [image for shard in range(8) for image in read_plan(directory, shard)]


def records_of(data_dir: Path, split: str = "train") -> list[bytes]:
    return list(chain.from_iterable(map(read_records, find_shards(data_dir, split))))


def names_in(features: Iterable[Any]) -> list[str]:
    return [element["image/filename"].numpy().decode() for element in features]


# What an element is --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_element_is_an_image_of_its_own_size_as_pillow_decodes_it_and_its_label(
    built: Path, plan: list[PlannedImage], tensorflow: Any
) -> None:
    dataset = tf_dataset(built, "train")
    assert dataset.element_spec == (
        tensorflow.TensorSpec((None, None, 3), tensorflow.uint8),
        tensorflow.TensorSpec((), tensorflow.int64),
    )
    elements = list(dataset)
    assert len(elements) == TRAIN_IMAGES
    for (image, label), record, planned_image in zip(elements, records_of(built), plan, strict=True):
        with Image.open(BytesIO(image_in(record))) as expected:
            assert image.numpy().tobytes() == expected.convert("RGB").tobytes()
            assert image.shape[:2] == (expected.height, expected.width)
        assert label == planned_image.label - 1


@pytest.mark.slow
def test_labels_begin_at_0_or_as_in_the_records_at_1(built: Path, plan: list[PlannedImage]) -> None:
    from_0 = [int(label) for _, label in tf_dataset(built, "train")]
    from_1 = [int(label) for _, label in tf_dataset(built, "train", first_label=1)]
    assert set(from_0) == set(range(SYNSETS))
    assert from_1 == [label + 1 for label in from_0] == [image.label for image in plan]


@pytest.mark.slow
def test_records_are_those_of_the_shards(built: Path) -> None:
    dataset = tf_dataset(built, "validation", elements="records")
    assert [record.numpy() for record in dataset] == records_of(built, "validation")


@pytest.mark.slow
def test_features_are_all_that_a_record_has_as_it_has_them(
    built: Path, plan: list[PlannedImage], tensorflow: Any
) -> None:
    for element, record, image in zip(
        tf_dataset(built, "train", elements="features"), records_of(built), plan, strict=True
    ):
        example = tensorflow.train.Example.FromString(record)
        assert set(element) == set(example.features.feature)
        assert element["image/encoded"] == image_in(record)
        assert element["image/filename"] == image.location.name
        assert element["image/class/label"] == image.label
        boxes = [element[f"image/object/bbox/{edge}"].numpy() for edge in ("xmin", "ymin", "xmax", "ymax")]
        assert list(zip(*boxes, strict=True)) == [pytest.approx(box) for box in image.boxes]
        assert list(element["image/object/bbox/label"].numpy()) == [image.label] * len(image.boxes)


@pytest.mark.slow
def test_boxes_are_those_of_the_plan_in_tensorflows_order(built: Path, plan: list[PlannedImage]) -> None:
    found = [target["boxes"].numpy().tolist() for _, target in tf_dataset(built, "train", boxes=True)]
    assert found == [
        [pytest.approx([ymin, xmin, ymax, xmax]) for xmin, ymin, xmax, ymax in image.boxes] for image in plan
    ]
    assert any(len(boxes) > 1 for boxes in found)


def test_with_boxes_the_label_stands_beside_them(tmp_path: Path, tensorflow: Any) -> None:
    write_picture(tmp_path, 8, 6)
    dataset = tf_dataset(tmp_path, "train", boxes=True, image_size=4)
    image, target = dataset.element_spec
    assert image == tensorflow.TensorSpec((4, 4, 3), tensorflow.float32)
    assert target == {
        "label": tensorflow.TensorSpec((), tensorflow.int64),
        "boxes": tensorflow.TensorSpec((None, 4), tensorflow.float32),
    }
    [(_, values)] = dataset
    assert (int(values["label"]), values["boxes"].shape) == (0, (0, 4))


def test_a_grey_image_has_three_channels(tmp_path: Path) -> None:
    write_shard(tmp_path, [(planned(), jpeg(8, 6, "L"))])
    [(image, _)] = tf_dataset(tmp_path, "train")
    assert image.shape == (6, 8, 3)


@pytest.mark.slow
def test_the_fast_way_of_decoding_is_tensorflows_own_and_only_on_demand(built: Path, tensorflow: Any) -> None:
    encoded = [image_in(record) for record in records_of(built)]
    for way in ("INTEGER_FAST", "INTEGER_ACCURATE"):
        expected = [tensorflow.io.decode_jpeg(image, channels=3, dct_method=way).numpy().tobytes() for image in encoded]
        options: dict[str, Any] = {} if way == "INTEGER_ACCURATE" else {"dct_method": way}
        assert [image.numpy().tobytes() for image, _ in tf_dataset(built, "train", **options)] == expected


def test_shards_of_another_folder_are_read(tmp_path: Path) -> None:
    write_shard(tmp_path, [(planned(), jpeg(8, 6))], folder="tfrecords-short256")
    [(image, _)] = tf_dataset(tmp_path, "train", folder="tfrecords-short256")
    assert image.shape == (6, 8, 3)


# Size ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_squashed_images_are_whole(built: Path, tensorflow: Any) -> None:
    whole = [image for image, _ in tf_dataset(built, "train")]
    squashed = tf_dataset(built, "train", image_size=(12, 20), resize="squash")
    assert squashed.element_spec[0] == tensorflow.TensorSpec((12, 20, 3), tensorflow.float32)
    for (image, _), original in zip(squashed, whole, strict=True):
        assert (image.numpy() == tensorflow.image.resize(original, (12, 20)).numpy()).all()


@pytest.mark.slow
def test_cropped_images_are_the_middle_square(built: Path, tensorflow: Any) -> None:
    whole = [image for image, _ in tf_dataset(built, "train")]
    for (image, _), original in zip(tf_dataset(built, "train", image_size=16), whole, strict=True):
        height, width, _ = original.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = original[top : top + side, left : left + side]
        assert (image.numpy() == tensorflow.image.resize(middle, (16, 16)).numpy()).all()


@pytest.mark.parametrize(
    ("width", "height", "size", "white"),
    [
        (400, 200, 100, (100, 0, 300, 200)),
        (200, 400, 100, (0, 100, 200, 300)),
        (400, 200, (50, 200), (0, 50, 400, 150)),
        (200, 400, (200, 50), (50, 0, 150, 400)),
        (300, 300, (10, 30), (0, 100, 300, 200)),
    ],
)
def test_a_crop_is_the_largest_middle_part_of_the_wanted_shape(
    tmp_path: Path, width: int, height: int, size: int | tuple[int, int], white: tuple[int, int, int, int]
) -> None:
    write_picture(tmp_path, width, height, white)
    [(cropped, _)] = tf_dataset(tmp_path, "train", image_size=size)
    [(squashed, _)] = tf_dataset(tmp_path, "train", image_size=size, resize="squash")
    assert cropped.numpy().mean() > 250
    assert squashed.numpy().mean() < 150


def test_an_image_of_any_shape_can_be_cropped(tmp_path: Path) -> None:
    write_picture(tmp_path, 1, 300)
    [(image, _)] = tf_dataset(tmp_path, "train", image_size=(1, 400))
    assert image.shape == (1, 400, 3)


def test_a_box_follows_its_object_into_the_crop(tmp_path: Path) -> None:
    # Of 400 x 200 pixels, the middle square leaves out 100 on each side.
    write_picture(tmp_path, 400, 200, (150, 50, 200, 120), boxes=[(150 / 400, 50 / 200, 200 / 400, 120 / 200)])
    [(image, target)] = tf_dataset(tmp_path, "train", image_size=200, boxes=True)
    assert target["boxes"].numpy().tolist() == [pytest.approx([0.25, 0.25, 0.6, 0.5])]
    assert image.numpy()[50:120, 50:100].mean() > 245
    assert image.numpy().mean() == pytest.approx(255 * 70 * 50 / 200**2, rel=0.05)


def test_a_box_is_cut_with_the_image_and_dropped_if_nothing_of_it_is_left(tmp_path: Path) -> None:
    boxes = [(0.0, 0.0, 0.2, 1.0), (0.0, 0.0, 0.5, 1.0), (0.76, 0.0, 1.0, 1.0), (0.0, 0.5, 1.0, 1.0)]
    write_picture(tmp_path, 400, 200, boxes=boxes)
    [(_, cropped)] = tf_dataset(tmp_path, "train", image_size=200, boxes=True)
    assert cropped["boxes"].numpy().tolist() == [[0.0, 0.0, 1.0, 0.5], [0.5, 0.0, 1.0, 1.0]]
    [(_, squashed)] = tf_dataset(tmp_path, "train", image_size=200, resize="squash", boxes=True)
    assert len(squashed["boxes"]) == len(boxes)


# Batches -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_batches_have_the_size_and_the_last_one_the_rest(built: Path, tensorflow: Any) -> None:
    dataset = tf_dataset(built, "train", image_size=8, batch_size=40)
    assert dataset.element_spec == (
        tensorflow.TensorSpec((None, 8, 8, 3), tensorflow.float32),
        tensorflow.TensorSpec((None,), tensorflow.int64),
    )
    assert [image.shape[0] for image, _ in dataset] == [40, 40, 10]


@pytest.mark.slow
def test_the_rest_is_dropped_if_that_is_wanted_and_the_shape_is_static(built: Path, tensorflow: Any) -> None:
    dataset = tf_dataset(built, "train", image_size=8, batch_size=40, drop_remainder=True)
    assert dataset.element_spec[0] == tensorflow.TensorSpec((40, 8, 8, 3), tensorflow.float32)
    assert [image.shape[0] for image, _ in dataset] == [40, 40]


@pytest.mark.slow
def test_the_boxes_of_a_batch_are_ragged(built: Path, tensorflow: Any) -> None:
    dataset = tf_dataset(built, "train", image_size=8, boxes=True, batch_size=TRAIN_IMAGES)
    assert dataset.element_spec[0] == tensorflow.TensorSpec((None, 8, 8, 3), tensorflow.float32)
    assert dataset.element_spec[1] == {
        "label": tensorflow.TensorSpec((None,), tensorflow.int64),
        "boxes": tensorflow.RaggedTensorSpec((None, None, 4), tensorflow.float32, 1, tensorflow.int64),
    }
    single = [target["boxes"].numpy().tolist() for _, target in tf_dataset(built, "train", image_size=8, boxes=True)]
    [(_, target)] = dataset
    assert target["boxes"].to_list() == single


@pytest.mark.slow
def test_a_batch_of_features_has_those_of_its_records(built: Path, tensorflow: Any) -> None:
    dataset = tf_dataset(built, "train", elements="features", batch_size=TRAIN_IMAGES, drop_remainder=True)
    spec = dataset.element_spec
    assert spec["image/encoded"] == tensorflow.TensorSpec((TRAIN_IMAGES,), tensorflow.string)
    ragged = tensorflow.RaggedTensorSpec((TRAIN_IMAGES, None), tensorflow.float32, 1, tensorflow.int64)
    assert spec["image/object/bbox/xmin"] == ragged
    [batch] = dataset
    single = list(tf_dataset(built, "train", elements="features"))
    assert set(batch) == set(single[0])
    for name, values in batch.items():
        expected = [element[name].numpy() for element in single]
        found = values.to_list() if name.startswith("image/object") else values.numpy().tolist()
        assert found == [value.tolist() if hasattr(value, "tolist") else value for value in expected]


def test_a_batch_of_records_is_a_tensor_of_strings(tmp_path: Path) -> None:
    write_picture(tmp_path, 8, 6)
    [batch] = tf_dataset(tmp_path, "train", elements="records", batch_size=4)
    assert batch.numpy().tolist() == records_of(tmp_path)


# Order ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_order_is_that_of_the_plan_in_each_epoch(built: Path, plan: list[PlannedImage]) -> None:
    dataset = tf_dataset(built, "train", elements="features")
    for _ in range(2):
        assert names_in(dataset) == [image.location.name for image in plan]


@pytest.mark.slow
def test_images_that_are_decoded_at_the_same_time_keep_the_order(built: Path) -> None:
    at_once = tf_dataset(built, "train", parallel=8)
    one_by_one = tf_dataset(built, "train", parallel=1)
    for (image, label), (expected, expected_label) in zip(at_once, one_by_one, strict=True):
        assert label == expected_label
        assert (image.numpy() == expected.numpy()).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 1])
def test_a_shuffled_epoch_has_each_image_once_and_the_next_has_another_order(
    built: Path, plan: list[PlannedImage], seed: int | None
) -> None:
    dataset = tf_dataset(built, "train", elements="features", shuffle=True, seed=seed)
    planned_names = [image.location.name for image in plan]
    first, second = names_in(dataset), names_in(dataset)
    assert sorted(first) == sorted(second) == sorted(planned_names)
    assert len({*map(tuple, (first, second, planned_names))}) == 3


@pytest.mark.slow
def test_the_shards_are_shuffled_also_if_the_buffer_holds_one_record(built: Path, plan: list[PlannedImage]) -> None:
    dataset = tf_dataset(built, "train", elements="features", shuffle=True, seed=1, shuffle_buffer=1)
    assert names_in(dataset) != [image.location.name for image in plan]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_order_of_each_epoch(built: Path) -> None:
    def two_epochs(seed: int) -> list[list[str]]:
        dataset = tf_dataset(built, "train", elements="features", shuffle=True, seed=seed, parallel=4)
        return [names_in(dataset), names_in(dataset)]

    assert two_epochs(7) == two_epochs(7)
    assert two_epochs(7) != two_epochs(8)


# Errors --------------------------------------------------------------------------------------------------------------


def error(data_dir: Path, **arguments: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        tf_dataset(data_dir, "train", **arguments)
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"elements": "raw"}, "elements: 'raw' is none of 'images', 'features', 'records'"),
        ({"resize": "pad"}, "resize: 'pad' is none of 'crop', 'squash'"),
        ({"first_label": 2}, "first_label: 2 is none of 0, 1"),
        ({"dct_method": "FAST"}, "dct_method: 'FAST' is none of 'INTEGER_ACCURATE', 'INTEGER_FAST'"),
        ({"batch_size": 0}, "batch_size: 0 is not a whole number from 1"),
        ({"parallel": -1}, "parallel: -1 is not a whole number from 1"),
        ({"shuffle_buffer": 0}, "shuffle_buffer: 0 is not a whole number from 1"),
        ({"image_size": 0}, "image_size: 0 is not a whole number from 1"),
        ({"image_size": (224, 2.5)}, "image_size: 2.5 is not a whole number from 1"),
        ({"image_size": (1, 2, 3)}, "image_size: (1, 2, 3) is not one number, nor height and width"),
        ({"batch_size": 4}, "batch_size needs image_size: images of different sizes do not fit into one batch"),
        ({"seed": 1}, "seed is of no use without shuffle=True"),
        (
            {"elements": "features", "image_size": 8},
            "boxes, image_size and first_label are for elements=\"images\", not for 'features'",
        ),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    assert error(tmp_path, **arguments) == message


def test_a_missing_shard_is_named_before_anything_is_read(tmp_path: Path) -> None:
    touch_shards(tmp_path, "train-00001-of-00002")
    assert "1 of 2 train shards are missing: train-00000-of-00002;" in error(tmp_path)


def test_without_tensorflow_the_command_that_installs_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch_shards(tmp_path, "train-00000-of-00001")
    # An import of what stands in sys.modules as None fails as that of what is not installed.
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert error(tmp_path) == (
        f"tf_dataset needs tensorflow, which is not installed: {sys.executable} -m pip install 'tensorflow>=2.16'"
    )
