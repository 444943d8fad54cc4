"""The peers that are Python: each function runs as a process, ``-m tests.benchmarks.peers``."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.measure import mark_imports_done


def elementtree(folders: str, csv: str) -> None:
    """Parse each extracted annotation by its own, with the standard library, and write its boxes as they are."""
    from xml.etree import ElementTree

    lines = []
    for path in sorted(Path(folders).glob("*/*.xml")):
        root = ElementTree.parse(path).getroot()
        width, height = (float(root.findtext(f"size/{side}", "1")) for side in ("width", "height"))
        for box in root.iter("bndbox"):
            xs = [float(box.findtext(edge, "0")) / width for edge in ("xmin", "xmax")]
            ys = [float(box.findtext(edge, "0")) / height for edge in ("ymin", "ymax")]
            lines.append(f"{path.stem}.JPEG,{xs[0]:.4f},{ys[0]:.4f},{xs[1]:.4f},{ys[1]:.4f}\n")
    Path(csv).write_text("".join(lines))


def tfds(manual_dir: str, data_dir: str, counted: str = "after-imports") -> None:
    """Build ``imagenet2012`` with tensorflow-datasets' own builder; counted once it and tensorflow are imported."""
    import tensorflow  # noqa: F401
    import tensorflow_datasets
    from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder  # noqa: F401

    builder = tensorflow_datasets.builder("imagenet2012", data_dir=data_dir)
    if counted != "count-imports":
        mark_imports_done()
    builder.download_and_prepare(
        download_dir=f"{data_dir}/downloads",
        download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=manual_dir),
    )


def shard_writer(source: str, outputs: str, maxcount: str) -> None:
    """Write WebDataset shards with webdataset's own writer, as its documentation does; counted once it is imported.

    Images come one after the other from the archives, by the standard library. A sample has the files of ours, the
    JSON without boxes.
    """
    from io import BytesIO

    from PIL import Image
    from webdataset import ShardWriter

    mark_imports_done()
    tables = Path(source)
    labels = {synset: label for label, synset in enumerate((tables / "unique_synsets.txt").read_text().split(), 1)}
    words = dict(line.split("\t") for line in (tables / "synset_english_key.txt").read_text().splitlines())
    for split, images in {"train": _train_images(tables), "validation": _validation_images(tables)}.items():
        with ShardWriter(f"{outputs}/{split}-%04d.tar", maxcount=int(maxcount), verbose=0) as writer:
            for synset, name, encoded in images:
                with Image.open(BytesIO(encoded)) as image:
                    size = {"height": image.height, "width": image.width}
                said = {"filename": name, "synset": synset, "words": words[synset], "label": labels[synset], **size}
                sample = {"jpg": encoded, "cls": labels[synset] - 1, "json": said}
                writer.write({"__key__": name.removesuffix(".JPEG"), **sample})


def _train_images(source: Path) -> Iterator[tuple[str, str, bytes]]:
    import tarfile

    with tarfile.open(source / "ILSVRC2012_img_train.tar") as outer:
        for synset in outer:
            with tarfile.open(fileobj=outer.extractfile(synset)) as inner:
                for member in inner:
                    yield synset.name.removesuffix(".tar"), member.name, inner.extractfile(member).read()  # type: ignore[union-attr]


def _validation_images(source: Path) -> Iterator[tuple[str, str, bytes]]:
    import tarfile

    synsets = (source / "validation_synset_labels.txt").read_text().split()
    with tarfile.open(source / "ILSVRC2012_img_val.tar") as tar:
        for member in tar:
            yield synsets[int(member.name[15:23]) - 1], member.name, tar.extractfile(member).read()  # type: ignore[union-attr]


def as_dataset(data_dir: str, dct_method: str) -> None:
    """Read what `tfds` has built as ``tests.benchmarks.ours`` does; counted once the pipeline is set up."""
    import tensorflow as tf
    import tensorflow_datasets

    from tests.benchmarks.reading import BATCH, SIZE, read_all

    @tensorflow_datasets.decode.make_decoder()
    def decode(encoded: tf.Tensor, feature: object) -> tf.Tensor:
        return tf.io.decode_jpeg(encoded, channels=3, dct_method=dct_method)

    def resize(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.image.resize(image, (SIZE, SIZE)), label

    dataset = tensorflow_datasets.builder("imagenet2012", data_dir=data_dir).as_dataset(
        split="train",
        as_supervised=True,
        decoders=None if dct_method == "default" else {"image": decode()},
        # The real data set is too large to be kept in memory; a small one would be.
        read_config=tensorflow_datasets.ReadConfig(try_autocache=False),
    )
    read_all(dataset.map(resize, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE))


_FUNCTIONS: dict[str, Callable[..., None]] = {
    "elementtree": elementtree,
    "tfds": tfds,
    "shard_writer": shard_writer,
    "as_dataset": as_dataset,
}

if __name__ == "__main__":
    _FUNCTIONS[sys.argv[1]](*sys.argv[2:])
