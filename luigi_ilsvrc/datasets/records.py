"""What tensorflow makes of a record: its features, or a decoded image with label and boxes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

Resize = Literal["crop", "squash"]
DctMethod = Literal["INTEGER_ACCURATE", "INTEGER_FAST"]

_STRINGS = ("encoded", "colorspace", "format", "filename", "class/synset", "class/text")
_INTEGERS = ("height", "width", "channels", "class/label")
"""Features of one value, without the ``image/`` before them; see `formats.tfrecord.encode`."""

_BOX_EDGES = tuple(f"image/object/bbox/{edge}" for edge in ("ymin", "xmin", "ymax", "xmax"))
_FOR_IMAGES = ("image/encoded", "image/height", "image/width", "image/class/label")


def _features() -> dict[str, Any]:
    """Return how each feature of a record is parsed."""
    import tensorflow as tf

    return {
        **{f"image/{name}": tf.io.FixedLenFeature([], tf.string) for name in _STRINGS},
        **{f"image/{name}": tf.io.FixedLenFeature([], tf.int64) for name in _INTEGERS},
        **{edge: tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64) for edge in _BOX_EDGES},
        "image/object/bbox/label": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    }


def parse_one(record: "tf.Tensor") -> dict[str, Any]:
    """Return all features of a serialized Example."""
    import tensorflow as tf

    return tf.io.parse_single_example(record, _features())  # type: ignore[no-any-return]


def parse_batch(records: "tf.Tensor") -> dict[str, Any]:
    """Return all features of a batch of serialized Examples; those of boxes are ``tf.RaggedTensor``."""
    import tensorflow as tf

    return tf.io.parse_example(records, _features())  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Decoding:
    """How a record becomes an image with its label; see `pipeline.tf_dataset` for the attributes."""

    size: tuple[int, int] | None
    resize: Resize
    first_label: int
    boxes: bool
    dct_method: DctMethod

    def decode(self, record: "tf.Tensor") -> tuple[Any, Any]:
        """Return image and label, or image, and label and boxes, of a serialized Example."""
        import tensorflow as tf

        features = _parse_for_images(record, self.boxes)
        image = tf.io.decode_jpeg(features["image/encoded"], channels=3, dct_method=self.dct_method)
        boxes = _boxes_of(features) if self.boxes else None
        if self.size is not None:
            if self.resize == "crop":
                window = _middle(features["image/height"], features["image/width"], *self.size)
                # Not tf.io.decode_and_crop_jpeg: near the edges of the window, it gives other pixels.
                image = tf.slice(image, [window.top, window.left, 0], [window.height, window.width, 3])
                boxes = None if boxes is None else _cut(boxes, window, features)
            image = tf.ensure_shape(tf.image.resize(image, self.size), (*self.size, 3))
        label = features["image/class/label"] - 1 + self.first_label
        if boxes is None:
            return image, label
        return image, {"label": label, "boxes": boxes}


def _parse_for_images(record: "tf.Tensor", boxes: bool) -> dict[str, Any]:
    import tensorflow as tf

    names = _FOR_IMAGES + (_BOX_EDGES if boxes else ())
    features = _features()
    return tf.io.parse_single_example(record, {name: features[name] for name in names})  # type: ignore[no-any-return]


class Window(NamedTuple):
    """A part of an image, in pixels; each field is an int64 ``()``."""

    top: Any
    left: Any
    height: Any
    width: Any


def _middle(height: "tf.Tensor", width: "tf.Tensor", tall: int, wide: int) -> Window:
    """Return the largest part in the middle of an image that has the shape of `tall` to `wide`."""
    import tensorflow as tf

    cut_height = tf.clip_by_value(width * tall // wide, 1, height)
    cut_width = tf.clip_by_value(height * wide // tall, 1, width)
    return Window((height - cut_height) // 2, (width - cut_width) // 2, cut_height, cut_width)


def _boxes_of(features: dict[str, "tf.Tensor"]) -> "tf.Tensor":
    """Return ``(n, 4)``: ``(ymin, xmin, ymax, xmax)`` of each box, the order that tensorflow's functions take."""
    import tensorflow as tf

    return tf.stack([features[edge] for edge in _BOX_EDGES], axis=1)


def _cut(boxes: "tf.Tensor", window: Window, features: dict[str, "tf.Tensor"]) -> "tf.Tensor":
    """Return the boxes relative to a window of the image, and cut by it; without those outside."""
    import tensorflow as tf

    sides = tf.stack([features["image/height"], features["image/width"]] * 2)
    corner = tf.stack([window.top, window.left] * 2)
    extent = tf.stack([window.height, window.width] * 2)
    sides, corner, extent = (tf.cast(pixels, tf.float32) for pixels in (sides, corner, extent))
    cut = tf.clip_by_value((boxes * sides - corner) / extent, 0.0, 1.0)
    return tf.boolean_mask(cut, tf.reduce_all(cut[:, :2] < cut[:, 2:], axis=1))
