"""Shards are read by the packages that people read them with; each record is compared with archives and tables."""

import importlib
import importlib.util
import io
import json
import struct
import subprocess
import sys
import tarfile
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from tests.support.in_process import run
from tests.support.running import SHARDS
from tests.support.source_images import train_images, validation_images

pytestmark = pytest.mark.slow

SPLITS = ("train", "validation")
IMAGES = {"train": 90, "validation": 25}
RE_ENCODED_AT_MOST = 10


class Expected(NamedTuple):
    """What source and tables say of an image."""

    original: bytes
    synset: str
    label: int
    text: str
    height: int
    width: int
    boxes: list[tuple[float, ...]]
    is_kept: bool


@pytest.fixture(scope="module")
def dataset(ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ilsvrc2012`` of a build in both formats: read it, do not change it."""
    data_dir = tmp_path_factory.mktemp("both-formats")
    built = run(
        *("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS),
        *("--formats", "tfrecord,webdataset", "--workers", "2"),
    )
    assert built.is_well, built.output
    return data_dir / "ilsvrc2012"


@pytest.fixture(scope="module")
def expected(ilsvrc: Path, dataset: Path) -> dict[str, dict[str, Expected]]:
    """The images of each split by name."""
    labels = {synset: label for label, synset in enumerate((ilsvrc / "unique_synsets.txt").read_text().split(), 1)}
    words = dict(line.split("\t") for line in (ilsvrc / "synset_english_key.txt").read_text().splitlines())
    boxes = boxes_in(dataset.parent / "bounding_boxes.csv")

    def expect(synset: str, name: str, original: bytes) -> Expected:
        with Image.open(io.BytesIO(original)) as image:
            is_kept = image.format == "JPEG" and image.mode != "CMYK"
            said = (labels[synset], words[synset], image.height, image.width)
        return Expected(original, synset, *said, boxes.get(name, []), is_kept)

    sources = {"train": train_images(ilsvrc), "validation": validation_images(ilsvrc)}
    found = {split: {image[1]: expect(*image) for image in sources[split]} for split in SPLITS}
    assert {split: len(images) for split, images in found.items()} == IMAGES
    kept = [image.is_kept for images in found.values() for image in images.values()]
    assert 0 < kept.count(False) <= RE_ENCODED_AT_MOST
    assert any(len(image.boxes) > 1 for image in found["train"].values())
    return found


def boxes_in(csv: Path) -> dict[str, list[tuple[float, ...]]]:
    found: dict[str, list[tuple[float, ...]]] = {}
    for line in csv.read_text().splitlines():
        name, *edges = line.split(",")
        found.setdefault(name, []).append(tuple(map(float, edges)))
    return found


def check_encoded(encoded: bytes, image: Expected) -> None:
    """Check that a record has the image's own bytes, or, of a PNG or CMYK JPEG, an RGB JPEG of its size."""
    if image.is_kept:
        assert encoded == image.original
        return
    with Image.open(io.BytesIO(encoded)) as read:
        assert (read.format, read.mode, read.height, read.width) == ("JPEG", "RGB", image.height, image.width)


def by_name(records: Iterable[tuple[str, Any]], images: Mapping[str, Expected]) -> list[tuple[Any, Expected]]:
    """Return each record with the image of its name; check that there is one of each image."""
    found = list(records)
    assert sorted(name for name, _ in found) == sorted(images)
    return [(record, images[name]) for name, record in found]


# tensorflow-datasets -------------------------------------------------------------------------------------------------


def read_with_tfds(dataset: Path, split: str, *, decode: bool) -> Iterator[tuple[str, Any]]:
    tfds = pytest.importorskip("tensorflow_datasets")
    decoders = None if decode else {"image": {"encoded": tfds.decode.SkipDecoding()}}
    read = tfds.builder_from_directory(str(dataset / "tfrecords")).as_dataset(split, decoders=decoders)
    for example in read.as_numpy_iterator():
        image = example["image"]
        yield image["filename"].decode(), image


@pytest.mark.parametrize("split", SPLITS)
def test_tensorflow_datasets_reads_each_record(
    tensorflow: Any, dataset: Path, expected: dict[str, dict[str, Expected]], split: str
) -> None:
    for read, image in by_name(read_with_tfds(dataset, split, decode=False), expected[split]):
        check_encoded(read["encoded"], image)
        texts = [read["class"]["synset"], read["class"]["text"], read["colorspace"], read["format"]]
        assert [text.decode() for text in texts] == [image.synset, image.text, "RGB", "JPEG"]
        assert (read["class"]["label"], read["height"], read["width"]) == (image.label, image.height, image.width)
        edges = [read["object"]["bbox"][edge].tolist() for edge in ("xmin", "ymin", "xmax", "ymax")]
        assert list(zip(*edges, strict=True)) == [pytest.approx(box) for box in image.boxes]
        assert read["object"]["bbox"]["label"].tolist() == [image.label] * len(image.boxes)


@pytest.mark.parametrize("split", SPLITS)
def test_tensorflow_datasets_decodes_each_image(
    tensorflow: Any, dataset: Path, expected: dict[str, dict[str, Expected]], split: str
) -> None:
    for read, image in by_name(read_with_tfds(dataset, split, decode=True), expected[split]):
        pixels = read["encoded"]
        assert pixels.shape == (image.height, image.width, 3)
        if image.is_kept:
            assert (pixels == tensorflow.io.decode_jpeg(image.original, channels=3).numpy()).all()


@pytest.mark.parametrize("split", SPLITS)
def test_tensorflow_datasets_knows_the_number_of_records(tensorflow: Any, dataset: Path, split: str) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(dataset / "tfrecords"))
    assert builder.info.splits[split].num_examples == IMAGES[split]
    assert sum(builder.info.splits[split].shard_lengths) == IMAGES[split]


# webdataset ----------------------------------------------------------------------------------------------------------


def tars(dataset: Path, split: str) -> list[Path]:
    return sorted((dataset / "webdataset").glob(f"imagenet1k-{split}-*.tar"))


def read_with_webdataset(dataset: Path, split: str) -> Iterator[tuple[str, Any]]:
    wds = pytest.importorskip("webdataset")
    for sample in wds.WebDataset([str(path) for path in tars(dataset, split)], shardshuffle=False):
        yield json.loads(sample["json"])["filename"], sample


@pytest.mark.parametrize("split", SPLITS)
def test_webdataset_reads_each_sample(dataset: Path, expected: dict[str, dict[str, Expected]], split: str) -> None:
    for sample, image in by_name(read_with_webdataset(dataset, split), expected[split]):
        said = json.loads(sample["json"])
        check_encoded(sample["jpg"], image)
        assert sample["cls"] == str(image.label - 1).encode()
        assert said == {
            "filename": f"{sample['__key__']}.JPEG",
            "synset": image.synset,
            "words": image.text,
            "label": image.label,
            "height": image.height,
            "width": image.width,
            "boxes": [list(box) for box in image.boxes],
        }


def test_both_formats_have_the_same_images_in_the_same_order(tensorflow: Any, dataset: Path) -> None:
    wds = pytest.importorskip("webdataset")
    for tar, records in zip(tars(dataset, "train"), sorted((dataset / "tfrecords").glob("train-*")), strict=True):
        examples = [
            tensorflow.train.Example.FromString(record).features.feature
            for record in tensorflow.data.TFRecordDataset(str(records)).as_numpy_iterator()
        ]
        samples = list(wds.WebDataset(str(tar), shardshuffle=False))
        assert [f"{sample['__key__']}.JPEG".encode() for sample in samples] == [
            example["image/filename"].bytes_list.value[0] for example in examples
        ]
        assert [sample["jpg"] for sample in samples] == [
            example["image/encoded"].bytes_list.value[0] for example in examples
        ]


# timm ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader_wds() -> Iterator[Any]:
    """timm's own module that reads WebDataset, with the modules beside it that it imports.

    ``import timm`` imports all its models, and these import torchvision, whose binary has to match that of torch: the
    usual package index has none for a torch without CUDA. The reader uses no model and no torchvision. So the packages
    around it are put into `sys.modules` as plain modules with a path, and their ``__init__.py`` is not executed.
    """
    pytest.importorskip("torch", reason="timm reads with torch, which is not installed")
    pytest.importorskip("webdataset")
    timm = importlib.util.find_spec("timm")
    if timm is None or not timm.submodule_search_locations:
        pytest.skip("timm is not installed")
    before = set(sys.modules)
    [folder] = timm.submodule_search_locations
    for name in ("timm", "timm.data", "timm.data.readers"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(folder, *name.split(".")[1:]))]
        sys.modules[name] = package
    yield importlib.import_module("timm.data.readers.reader_wds")
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "timm":
            del sys.modules[name]


@pytest.mark.parametrize("split", SPLITS)
def test_timm_reads_each_image_with_its_label_from_0(
    reader_wds: Any, dataset: Path, expected: dict[str, dict[str, Expected]], split: str
) -> None:
    reader = reader_wds.ReaderWds(str(dataset / "webdataset"), split=split, is_training=False)
    assert len(reader) == IMAGES[split]
    # It gives no names: the samples come in the order of the shards.
    images = [expected[split][f"{Path(name).stem}.JPEG"] for name in names_in(tars(dataset, split), ".jpg")]
    samples = list(reader)
    assert [(label, *image.size, image.mode) for image, label in samples] == [
        (image.label - 1, image.width, image.height, "RGB") for image in images
    ]
    for (read, _), image in zip(samples, images, strict=True):
        if image.is_kept:
            assert read.tobytes() == Image.open(io.BytesIO(image.original)).convert("RGB").tobytes()


def test_timm_reads_the_label_of_the_json_if_it_is_asked_to(reader_wds: Any, dataset: Path) -> None:
    folder = str(dataset / "webdataset")
    from_0 = [label for _, label in reader_wds.ReaderWds(folder, split="train")]
    from_1 = [label for _, label in reader_wds.ReaderWds(folder, split="train", target_key="label")]
    assert from_1 == [label + 1 for label in from_0]
    assert set(from_0) == set(range(5))


@pytest.mark.parametrize("split", SPLITS)
def test_the_file_that_timm_looks_for_counts_the_samples_of_each_shard(dataset: Path, split: str) -> None:
    lengths = {path.name: len(names_in([path], ".jpg")) for path in tars(dataset, split)}
    assert json.loads((dataset / "webdataset" / "_info.json").read_text())["splits"][split] == {
        "name": split,
        "num_samples": IMAGES[split],
        "filenames": list(lengths),
        "shard_lengths": list(lengths.values()),
    }


# tar -----------------------------------------------------------------------------------------------------------------


def names_in(paths: Iterable[Path], ending: str = "") -> list[str]:
    """Return the names of the members of tars, as the program tar lists them."""
    listed = (subprocess.run(["tar", "tf", path], capture_output=True, text=True, check=True) for path in paths)
    return [name for done in listed for name in done.stdout.splitlines() if name.endswith(ending)]


@pytest.mark.parametrize("split", SPLITS)
def test_tar_lists_three_files_of_each_image(
    dataset: Path, expected: dict[str, dict[str, Expected]], split: str
) -> None:
    names = names_in(tars(dataset, split))
    stems = [name.removesuffix(".jpg") for name in names[::3]]
    assert sorted(f"{stem}.JPEG" for stem in stems) == sorted(expected[split])
    assert names == [f"{stem}.{ending}" for stem in stems for ending in ("jpg", "cls", "json")]


def test_tar_warns_of_nothing_in_any_shard(dataset: Path) -> None:
    for path in (dataset / "webdataset").glob("*.tar"):
        done = subprocess.run(["tar", "tvf", path], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert {line.split()[0] for line in done.stdout.splitlines()} == {"-rw-r--r--"}


# DALI ----------------------------------------------------------------------------------------------------------------


def tfrecord2idx(path: Path) -> str:
    """Return the index of a shard by the rule of ``tools/tfrecord2idx`` in NVIDIA/DALI: no CRC is checked."""
    lines = []
    with path.open("rb") as file:
        while length := file.read(8):
            start = file.tell() - 8
            file.seek(4 + struct.unpack("<q", length)[0] + 4, io.SEEK_CUR)
            lines.append(f"{start} {file.tell() - start}\n")
    return "".join(lines)


def wds2idx(path: Path) -> str:
    """Return the index of a shard by the rule of ``tools/wds2idx.py`` in NVIDIA/DALI, version 1.2.

    A sample is what follows each other with the same name up to the first dot.
    """
    samples: list[tuple[str, list[str]]] = []
    with tarfile.open(path) as tar:
        for member in filter(tarfile.TarInfo.isreg, tar):
            stem, _, ending = member.name.partition(".")
            if not samples or samples[-1][0] != stem:
                samples.append((stem, []))
            samples[-1][1].append(f"{ending} {member.offset_data} {member.size} {member.name}")
    return "".join(f"{line}\n" for line in (f"v1.2 {len(samples)}", *(" ".join(files) for _, files in samples)))


def test_the_indexes_of_tfrecord_shards_are_those_of_dali(dataset: Path) -> None:
    shards = [path for split in SPLITS for path in sorted((dataset / "tfrecords").glob(f"{split}-*"))]
    indexes = {path.name: path.read_text() for path in (dataset / "tfrecords_index").iterdir()}
    assert indexes == {path.name: tfrecord2idx(path) for path in shards}
    assert sum(len(index.splitlines()) for index in indexes.values()) == sum(IMAGES.values())


def test_the_indexes_of_webdataset_shards_are_those_of_dali(dataset: Path) -> None:
    shards = [path for split in SPLITS for path in tars(dataset, split)]
    indexes = {path.name: path.read_text() for path in (dataset / "webdataset_index").iterdir()}
    assert indexes == {f"{path.stem}.idx": wds2idx(path) for path in shards}
    assert sum(len(index.splitlines()) - 1 for index in indexes.values()) == sum(IMAGES.values())
