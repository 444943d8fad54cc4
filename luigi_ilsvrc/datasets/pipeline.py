"""The shards of a build as a ``tf.data.Dataset``."""

import os
import sys
from typing import TYPE_CHECKING, Any, Literal, get_args

from luigi_ilsvrc.datasets.arguments import DatasetError, check_choice, check_positive
from luigi_ilsvrc.datasets.records import DctMethod, Decoding, Resize, parse_batch, parse_one
from luigi_ilsvrc.datasets.shards import find_shards
from luigi_ilsvrc.formats import tfrecord

if TYPE_CHECKING:
    import tensorflow as tf

Elements = Literal["images", "features", "records"]

_READ_AT_ONCE = 1 << 20
"""Bytes: about ten images. tensorflow's own 256 kB are a request each on a network file system."""

_SHARDS_AT_ONCE = 16
_RECORDS_IN_TURN = 16
"""How a shuffled data set reads: from so many shards at the same time, so many records of each in turn."""


def tf_dataset(
    data_dir: str | os.PathLike[str],
    split: str,
    *,
    elements: Elements = "images",
    image_size: int | tuple[int, int] | None = None,
    resize: Resize = "crop",
    first_label: Literal[0, 1] = 0,
    boxes: bool = False,
    batch_size: int | None = None,
    drop_remainder: bool = False,
    shuffle: bool = False,
    seed: int | None = None,
    shuffle_buffer: int = 2048,
    parallel: int | None = None,
    dct_method: DctMethod = "INTEGER_ACCURATE",
    folder: str = tfrecord.FOLDER,
) -> "tf.data.Dataset":
    """Return the TFRecord shards of a build as a ``tf.data.Dataset`` of one epoch.

    =========== ============= =====================================================================================
    `elements`  `boxes`       an element, without `batch_size`
    =========== ============= =====================================================================================
    "images"    False         ``(image, label)``: uint8 ``(height, width, 3)`` from 0 to 255, or with `image_size`
                              float32 ``(*image_size, 3)`` from 0.0 to 255.0; int64 ``()``
    "images"    True          ``(image, {"label": label, "boxes": boxes})``; boxes: float32 ``(n, 4)``, each
                              ``(ymin, xmin, ymax, xmax)`` from 0 to 1, relative to the image as it is returned;
                              n may be 0
    "features"  (refused)     a dict of all features as they are in the record (see ``docs/formats.md``), the image not
                              decoded and the label **from 1**: int64 and string ``()``, boxes ``(n,)``
    "records"   (refused)     the serialized ``tf.train.Example``: string ``()``
    =========== ============= =====================================================================================

    With `batch_size`, each shape has the batch before it; what has n boxes becomes a ``tf.RaggedTensor``.

    Parameters
    ----------
    data_dir : path
        The ``--data-dir`` of the build.
    split : str
        "train" or "validation".
    elements : {"images", "features", "records"}
        What the data set has, see above. What only concerns "images" is refused with the others.
    image_size : int or (int, int), optional
        Height and width that the images get, by bilinear interpolation without antialiasing, as ``tf.image.resize``
        has it; an int for both. Batches of images need it. Without it, images have their own sizes.
    resize : {"crop", "squash"}
        "crop" takes the largest part in the middle of the image that has the shape of `image_size`: of a square one,
        the whole short side. "squash" takes the whole image, and does not keep its shape.
    first_label : {0, 1}
        The label of the first synset. **0, the default, gives 0 to 999**, which ``sparse_categorical_crossentropy``
        with 1000 classes needs; 1 gives 1 to 1000, as in the records, for models with a class of background.
    boxes : bool
        Whether images come with their bounding boxes. With "crop", they are cut as the image is; what is outside of
        it is dropped.
    batch_size : int, optional
        Without it, elements are single.
    drop_remainder : bool
        Whether the last batch is dropped if it is smaller; the size of the batch is then part of the static shape.
    shuffle : bool
        False gives the order of the build's plan: shard after shard, record after record. True shuffles the shards,
        reads from 16 of them at once, and shuffles their records in a buffer; each iteration is another order.
    seed : int, optional
        Of the shuffling: the same seed gives the same order, of each epoch, on any machine, with the same
        `shuffle_buffer` and ``tf.random.set_seed``. Without it, no image waits for another one.
    shuffle_buffer : int
        Records in the buffer; 110 kB each. The shards are shuffled already, so a small one does.
    parallel : int, optional
        Images that are decoded at the same time; by default, tf.data finds out how many are best.
    dct_method : {"INTEGER_ACCURATE", "INTEGER_FAST"}
        How JPEGs are decoded, see ``tf.io.decode_jpeg``. The fast way changes pixels a little.
    folder : str
        The folder of the shards, below ``ilsvrc2012/``.

    Raises
    ------
    DatasetError
        If there is no such build, shards are missing or of several counts, arguments make no sense, or tensorflow is
        not installed. A damaged shard is tensorflow's ``DataLossError``, when it is read.

    Examples
    --------
    >>> train = tf_dataset("data", "train", image_size=224, batch_size=32, shuffle=True)  # doctest: +SKIP
    >>> train.element_spec  # doctest: +SKIP
    (TensorSpec(shape=(None, 224, 224, 3), dtype=tf.float32, name=None),
     TensorSpec(shape=(None,), dtype=tf.int64, name=None))
    """
    _check_numbers(batch_size=batch_size, shuffle_buffer=shuffle_buffer, parallel=parallel)
    check_choice("elements", elements, get_args(Elements))
    check_choice("resize", resize, get_args(Resize))
    check_choice("first_label", first_label, (0, 1))
    check_choice("dct_method", dct_method, get_args(DctMethod))
    if elements != "images" and (boxes or image_size is not None or first_label):
        raise DatasetError(f'boxes, image_size and first_label are for elements="images", not for {elements!r}')
    if elements == "images" and batch_size is not None and image_size is None:
        raise DatasetError("batch_size needs image_size: images of different sizes do not fit into one batch")
    if seed is not None and not shuffle:
        raise DatasetError("seed is of no use without shuffle=True")
    decoding = Decoding(_height_and_width(image_size), resize, first_label, boxes, dct_method)
    shards = [str(shard) for shard in find_shards(data_dir, split, folder)]

    tf = _import_tensorflow()
    calls = parallel or tf.data.AUTOTUNE
    dataset = _shuffled_records(shards, seed, shuffle_buffer) if shuffle else _records_in(shards)
    if elements == "images":
        dataset = dataset.map(decoding.decode, calls)
    if batch_size is not None:
        make_batches = dataset.ragged_batch if boxes else dataset.batch
        dataset = make_batches(batch_size, drop_remainder)
    if elements == "features":
        dataset = dataset.map(parse_one if batch_size is None else parse_batch, calls)
    options = tf.data.Options()
    options.deterministic = not shuffle or seed is not None
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None:
            check_positive(name, number)


def _height_and_width(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2:
        raise DatasetError(f"image_size: {image_size!r} is not one number, nor height and width")
    for side in size:
        check_positive("image_size", side)
    return size


def _records_in(shards: "list[str] | tf.Tensor") -> "tf.data.Dataset":
    """Return the records of shards, one shard after the other."""
    import tensorflow as tf

    return tf.data.TFRecordDataset(shards, buffer_size=_READ_AT_ONCE)


def _shuffled_records(shards: list[str], seed: int | None, shuffle_buffer: int) -> "tf.data.Dataset":
    import tensorflow as tf

    return (
        tf.data.Dataset.from_tensor_slices(shards)
        .shuffle(len(shards), seed)
        .interleave(
            _records_in,
            cycle_length=_SHARDS_AT_ONCE,
            block_length=_RECORDS_IN_TURN,
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .shuffle(shuffle_buffer, seed)
    )


def _import_tensorflow() -> Any:
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise DatasetError(
            f"tf_dataset needs tensorflow, which is not installed: {sys.executable} -m pip install 'tensorflow>=2.16'"
        ) from None
    return tensorflow
