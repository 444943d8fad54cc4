"""Shards for a test: of a build, without the build."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from luigi_ilsvrc.dataset.images import as_rgb_jpeg
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.formats.plan import PlannedImage
from tests.formats.planned import planned


def touch_shards(data_dir: Path, *names: str, folder: str = tfrecord.FOLDER) -> Path:
    """Make files of these names; return their folder."""
    records = DataSetPaths(data_dir).records(folder)
    records.mkdir(parents=True, exist_ok=True)
    for name in names:
        (records / name).touch()
    return records


def write_shard(data_dir: Path, images: Sequence[tuple[PlannedImage, bytes]], folder: str = tfrecord.FOLDER) -> None:
    """Write planned images, given with their JPEGs, as the one training shard of a build."""
    framed = [tfrecord.frame(tfrecord.encode(image, as_rgb_jpeg(jpeg))) for image, jpeg in images]
    shard = touch_shards(data_dir, folder=folder) / tfrecord.shard_name("train", 0, 1)
    shard.write_bytes(b"".join(chunk for chunks in framed for chunk in chunks))


def picture(width: int, height: int, *white: tuple[int, int, int, int]) -> bytes:
    """Return a black JPEG with white rectangles, each ``(left, upper, right, lower)``."""
    image = Image.new("RGB", (width, height))
    for rectangle in white:
        image.paste("white", rectangle)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def write_picture(
    data_dir: Path,
    width: int,
    height: int,
    *white: tuple[int, int, int, int],
    boxes: Sequence[tuple[float, ...]] = (),
) -> None:
    """Write a shard of one picture, with boxes ``(xmin, ymin, xmax, ymax)``."""
    write_shard(data_dir, [(planned(boxes=list(boxes)), picture(width, height, *white))])
