import errno
import hashlib
import itertools
import random
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from luigi_ilsvrc import shards, tar_index
from luigi_ilsvrc.disk import DiskError
from luigi_ilsvrc.images import RGBImage, as_rgb_jpeg
from luigi_ilsvrc.shards import PlannedImage, ShardError
from luigi_ilsvrc.tar_index import ImageLocation, ImageReader

ENGLISH = {"n01440764": "tench, Tinca tinca", "n02105855": 'a "sheepdog"'}
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


def jpeg(width: int = 8, height: int = 6, mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    Image.new(mode, (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def location(name: str, offset: int = 0, size: int = 1) -> ImageLocation:
    return ImageLocation(name, name.split("_")[0], "training_images.tar", offset, size)


@pytest.fixture
def planned(tmp_path: Path) -> list[list[PlannedImage]]:
    """Seven images in two shards, the third image with two boxes."""
    names = [f"n01440764_{n}.JPEG" for n in (1, 10, 2)] + [f"n02105855_{n}.JPEG" for n in (3, 4, 5, 6)]
    index = tmp_path / "index"
    index.mkdir()
    tar_index.write_index([location(name, offset) for offset, name in enumerate(names)], ENGLISH, index)
    csv = tmp_path / "bounding_boxes.csv"
    csv.write_text("n01440764_2.JPEG,0.1000,0.2000,0.3000,0.4000\nn01440764_2.JPEG,0.0000,0.0000,1.0000,0.5000\n")
    plan = tmp_path / "plan"
    plan.mkdir()
    shards.write_plan(index, ENGLISH, csv, 2, plan)
    return [shards.read_plan(plan, shard) for shard in (0, 1)]


# The plan ------------------------------------------------------------------------------------------------------------


def test_images_are_sorted_by_synset_and_name_then_shuffled_with_the_seed(planned: list[list[PlannedImage]]) -> None:
    in_order = [f"n01440764_{n}.JPEG" for n in (1, 10, 2)] + [f"n02105855_{n}.JPEG" for n in (3, 4, 5, 6)]
    positions = list(range(7))
    random.Random(12345).shuffle(positions)
    assert [image.location.name for shard in planned for image in shard] == [in_order[p] for p in positions]


def test_labels_count_from_one_in_the_order_of_the_table(planned: list[list[PlannedImage]]) -> None:
    labels = {image.location.synset: (image.label, image.text) for shard in planned for image in shard}
    assert labels == {"n01440764": (1, "tench, Tinca tinca"), "n02105855": (2, 'a "sheepdog"')}


def test_an_image_has_its_boxes_in_the_order_of_the_csv(planned: list[list[PlannedImage]]) -> None:
    assert {image.location.name: image.boxes for shard in planned for image in shard if image.boxes} == {
        "n01440764_2.JPEG": [(0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 0.5)]
    }


def test_a_plan_says_where_each_image_lies(planned: list[list[PlannedImage]]) -> None:
    assert sorted(image.location.offset for shard in planned for image in shard) == list(range(7))


def test_shards_are_even_within_eight_even_groups() -> None:
    assert shards.shard_bounds(100, 16)[:5] == [0, 6, 12, 18, 25]


def test_a_number_of_shards_that_eight_does_not_divide_makes_one_group() -> None:
    assert shards.shard_bounds(100, 3) == [0, 33, 66, 100]


def test_the_real_counts_give_the_sizes_of_the_inception_scripts() -> None:
    bounds = shards.shard_bounds(1_281_167, 1024)
    assert bounds[:3] == [0, 1251, 2502]
    assert {after - before for before, after in itertools.pairwise(bounds)} == {1251, 1252}


@given(images=st.integers(0, 2_000_000), num_shards=st.integers(1, 300))
def test_shards_end_where_the_rounding_of_the_inception_scripts_puts_it(images: int, num_shards: int) -> None:
    groups = 8 if num_shards % 8 == 0 else 1
    spacing = numpy.linspace(0, images, groups + 1).astype(int)
    bounds = [0]
    for group in range(groups):
        bounds += list(numpy.linspace(spacing[group], spacing[group + 1], num_shards // groups + 1).astype(int)[1:])
    assert shards.shard_bounds(images, num_shards) == bounds


@given(images=st.integers(0, 2000), num_shards=st.integers(1, 300))
def test_every_image_is_in_exactly_one_shard(images: int, num_shards: int) -> None:
    bounds = shards.shard_bounds(images, num_shards)
    assert len(bounds) == num_shards + 1
    assert (bounds[0], bounds[-1]) == (0, images)
    assert bounds == sorted(bounds)


# The Example ---------------------------------------------------------------------------------------------------------


def example_of(image: PlannedImage, encoded: RGBImage) -> bytes:
    return b"".join(shards.serialize_example(image, encoded))


def features_of(serialized: bytes) -> dict[str, Any]:
    import tensorflow as tf

    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in tf.train.Example.FromString(serialized).features.feature.items()
    }


def test_an_example_has_exactly_the_promised_features() -> None:
    image = PlannedImage(location("n01440764_2.JPEG"), 1, "tench", [(0.1, 0.2, 0.3, 0.4), (0.0, 0.25, 1.0, 0.5)])
    features = features_of(example_of(image, as_rgb_jpeg(jpeg(8, 6))))
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


def test_an_example_without_boxes_has_empty_box_features() -> None:
    image = PlannedImage(location("n01440764_2.JPEG"), 1, "tench", [])
    features = features_of(example_of(image, as_rgb_jpeg(jpeg())))
    assert set(features) == FEATURES
    assert features["image/object/bbox/xmin"] == features["image/object/bbox/label"] == []


def test_the_bytes_of_an_example_repeat_in_another_process() -> None:
    program = (
        "import hashlib; from luigi_ilsvrc import shards; from luigi_ilsvrc.images import RGBImage;"
        "from luigi_ilsvrc.tar_index import ImageLocation as L;"
        "image = shards.PlannedImage(L('a', 'n', 'f', 0, 1), 1, 'text', [(0.1, 0.2, 0.3, 0.4)]);"
        "print(hashlib.md5(b''.join(shards.serialize_example(image, RGBImage(b'jpeg', 1, 2)))).hexdigest())"
    )
    image = PlannedImage(ImageLocation("a", "n", "f", 0, 1), 1, "text", [(0.1, 0.2, 0.3, 0.4)])
    here = hashlib.md5(example_of(image, RGBImage(b"jpeg", 1, 2))).hexdigest()
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


# The file ------------------------------------------------------------------------------------------------------------


def write_images(directory: Path, images: dict[str, bytes]) -> list[PlannedImage]:
    """Put images into an archive."""
    path = directory / "training_images.tar"
    with tarfile.open(path, "w") as tar:
        for name, encoded in images.items():
            member = tarfile.TarInfo(name)
            member.size = len(encoded)
            tar.addfile(member, BytesIO(encoded))
    with tarfile.open(path) as tar:
        return [PlannedImage(location(member.name, member.offset_data, member.size), 1, "tench", []) for member in tar]


def test_a_shard_is_read_back_in_order_by_tf_data(tmp_path: Path) -> None:
    import tensorflow as tf

    images = {f"n01440764_{n}.JPEG": jpeg(8 + n) for n in range(5)}
    planned = write_images(tmp_path, images)
    with ImageReader(tmp_path, tmp_path) as reader:
        shards.write_shard(reader, planned, tmp_path / "shard")
    read = [features_of(record.numpy()) for record in tf.data.TFRecordDataset(str(tmp_path / "shard"))]
    assert [(features["image/filename"][0].decode(), features["image/encoded"][0]) for features in read] == list(
        images.items()
    )


def test_a_shard_without_images_is_an_empty_file(tmp_path: Path) -> None:
    with ImageReader(tmp_path, tmp_path) as reader:
        shards.write_shard(reader, [], tmp_path / "shard")
    assert (tmp_path / "shard").read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_the_same_error_as_elsewhere(tmp_path: Path) -> None:
    planned = write_images(tmp_path, {"n01440764_1.JPEG": jpeg()})
    with ImageReader(tmp_path, tmp_path) as reader, pytest.raises(OSError) as raised:
        shards.write_shard(reader, planned, Path("/dev/full"))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/dev/full")


def test_a_shard_that_will_not_fit_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    planned = [PlannedImage(location("n01440764_1.JPEG", 0, 10**18), 1, "tench", [])]
    with ImageReader(tmp_path, tmp_path) as reader, pytest.raises(DiskError, match="1,000,000,000,000,000,000 bytes"):
        shards.write_shard(reader, planned, tmp_path / "shard")
    assert not (tmp_path / "shard").exists()


def test_every_bad_image_of_a_shard_is_named_with_archive_and_offset(tmp_path: Path) -> None:
    images = {"n01440764_1.JPEG": jpeg(), "n01440764_2.JPEG": b"not an image", "n01440764_3.JPEG": b"nor this"}
    planned = write_images(tmp_path, images)
    with ImageReader(tmp_path, tmp_path) as reader, pytest.raises(ShardError) as raised:
        shards.write_shard(reader, planned, tmp_path / "shard")
    message = str(raised.value)
    assert message.startswith("2 images cannot be used")
    for image in planned[1:]:
        where = f"{image.location.name} in {tmp_path}/training_images.tar at byte {image.location.offset}: neither JPEG"
        assert where in message
