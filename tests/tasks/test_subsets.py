"""Builds of a subset, as users see them."""

import itertools
import os
import random
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from tests.support.in_process import Run, run
from tests.support.running import SHARDS, times
from tests.support.source_forms import torchvision

pytestmark = pytest.mark.slow

COUNTS = {TRAIN: 8, VALIDATION: 3}


def build(data_dir: Path, source: object, subset: object, *options: object) -> Run:
    return run("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, "--subset", subset, *options)


def verify(data_dir: Path, *options: object) -> Run:
    return run("VerifyBuild", "--data-dir", data_dir, *SHARDS, *options)


def write_list(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def names_in(folder: Path) -> list[str]:
    """Return the names of the images in class folders, in the order of the index: sorted, synset by synset."""
    return [path.name for synset in sorted(folder.iterdir()) for path in sorted(synset.iterdir())]


def names_of_records(paths: DataSetPaths, selection: str, split: str) -> list[list[str]]:
    """Return the file names in the records of each shard."""
    shards = sorted(paths.records(f"tfrecords{selection}").glob(f"{split}-*"))
    pattern = re.compile(rb"(?:n[0-9]{8}_[0-9]+|ILSVRC2012_val_[0-9]{8})\.JPEG")
    return [[pattern.findall(record)[0].decode() for record in tfrecord.read_records(shard)] for shard in shards]


class Built(NamedTuple):
    """A build of a subset: where it lies, its list, what the command said, and the names of what it had to take."""

    data_dir: Path
    subset: Path
    output: str
    taken: dict[str, list[str]]

    @property
    def paths(self) -> DataSetPaths:
        return DataSetPaths(self.data_dir)


def all_names_of_records(subset: Built, split: str) -> list[str]:
    shards = names_of_records(subset.paths, f"-{subset.subset.stem}", split)
    return sorted(itertools.chain.from_iterable(shards))


@pytest.fixture(scope="module")
def all_names(built: Path) -> dict[str, list[str]]:
    return {split: names_in(DataSetPaths(built).class_folders(split)) for split in SPLITS}


@pytest.fixture(scope="module")
def images(built: Path, all_names: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A subset of images, built beside the whole data set, whose archives were deleted."""
    folder = tmp_path_factory.mktemp("images")
    data_dir = shutil.copytree(built, folder / "data", copy_function=shutil.copy2)
    for split in SPLITS:
        DataSetPaths(data_dir).archive(IMAGE_ARCHIVES[split]).unlink()
    taken = all_names[TRAIN][::3]
    ended = build(data_dir, folder / "nothing", write_list(folder / "third.txt", reversed(taken)))
    assert ended.is_well, ended.output
    return Built(data_dir, folder / "third.txt", ended.output, {TRAIN: taken, VALIDATION: all_names[VALIDATION]})


@pytest.fixture(scope="module")
def synsets(ilsvrc: Path, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A subset of synsets, built by itself, in two formats; beside it a file names each image that was read."""
    folder = tmp_path_factory.mktemp("synsets")
    listed = sorted(it.name for it in DataSetPaths(built).class_folders(TRAIN).iterdir())[1::2]
    read = ImageReader.read

    def noted(self: ImageReader, location: ImageLocation) -> bytes:
        with (folder / "read.txt").open("a") as file:
            file.write(f"{location.name}\n")
        return read(self, location)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageReader, "read", noted)
        subset = write_list(folder / "two.txt", listed)
        ended = build(folder / "data", ilsvrc, subset, "--formats", "tfrecord,webdataset")
    assert ended.is_well, ended.output
    whole = DataSetPaths(built)
    taken = {
        split: [path.name for synset in listed for path in sorted((whole.class_folders(split) / synset).iterdir())]
        for split in SPLITS
    }
    yield Built(folder / "data", subset, ended.output, taken)


# What is in it -------------------------------------------------------------------------------------------------------


def test_a_list_of_images_leaves_the_validation_whole(images: Built, all_names: dict[str, list[str]]) -> None:
    found = {split: all_names_of_records(images, split) for split in SPLITS}
    assert found == {TRAIN: sorted(images.taken[TRAIN]), VALIDATION: sorted(all_names[VALIDATION])}


def test_a_list_of_synsets_takes_their_images_of_both_splits(synsets: Built) -> None:
    found = {split: all_names_of_records(synsets, split) for split in SPLITS}
    assert found == {split: sorted(names) for split, names in synsets.taken.items()}


@pytest.mark.parametrize("name", ["images", "synsets"])
def test_the_order_is_the_rule_of_the_whole_data_set_applied_to_the_subset(
    name: str, request: pytest.FixtureRequest
) -> None:
    subset: Built = request.getfixturevalue(name)
    taken = subset.taken[TRAIN]
    order = list(range(len(taken)))
    random.Random(12345).shuffle(order)
    # 8 shards: a group for each.
    bounds = np.linspace(0, len(taken), 9).astype(int)
    expected = [[taken[number] for number in order[start:end]] for start, end in itertools.pairwise(bounds)]
    assert names_of_records(subset.paths, f"-{subset.subset.stem}", TRAIN) == expected


def test_labels_are_those_of_the_whole_table(synsets: Built, built: Path) -> None:
    table = sorted(it.name for it in DataSetPaths(built).class_folders(TRAIN).iterdir())
    labels = {}
    for shard in synsets.paths.records("webdataset-two").glob("*.tar"):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".cls") and member.name.startswith("n"):
                    file = tar.extractfile(member)
                    assert file is not None
                    labels[member.name.partition("_")[0]] = int(file.read())
    assert labels == {table[1]: 1, table[3]: 3}


def test_the_result_and_the_report_have_the_counts_of_the_subset(synsets: Built, images: Built, built: Path) -> None:
    boxes = DataSetPaths(built).bounding_boxes.read_text().splitlines()
    for subset in (synsets, images):
        counts = {split: len(names) for split, names in subset.taken.items()}
        its_boxes = sum(line.partition(",")[0] in subset.taken[TRAIN] for line in boxes)
        said = f"complete: {counts[TRAIN]} train and {counts[VALIDATION]} validation images, {its_boxes} bounding boxes"
        assert said in subset.output
        page = subset.paths.report_on(f"-{subset.subset.stem}").read_text()
        text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
        assert f"{counts[TRAIN]} training" in text or f"{counts[TRAIN]} train" in text


# Its images ----------------------------------------------------------------------------------------------------------


def test_class_folders_beside_the_whole_data_set_are_links_to_its_images(images: Built) -> None:
    for split in SPLITS:
        folder = images.paths.subset_folders("third", split)
        assert names_in(folder) == images.taken[split]
        for path in folder.glob("*/*"):
            assert path.is_symlink()
            assert not os.path.isabs(path.readlink())
            assert path.resolve() == images.paths.class_folders(split) / path.parent.name / path.name


def test_class_folders_without_the_whole_data_set_hold_the_images(synsets: Built, built: Path) -> None:
    for split in SPLITS:
        folder = synsets.paths.subset_folders("two", split)
        assert names_in(folder) == synsets.taken[split]
        for path in folder.glob("*/*"):
            assert not path.is_symlink()
            whole = DataSetPaths(built).class_folders(split) / path.parent.name / path.name
            assert path.read_bytes() == whole.read_bytes()
        assert not synsets.paths.class_folders(split).exists()


def test_no_image_is_read_that_is_not_in_the_subset(synsets: Built) -> None:
    read = set((synsets.subset.parent / "read.txt").read_text().split())
    assert read == {name for names in synsets.taken.values() for name in names}


def test_deleted_archives_are_not_downloaded_again(images: Built) -> None:
    assert not any(images.paths.archive(IMAGE_ARCHIVES[split]).exists() for split in SPLITS)


def test_links_lead_to_the_folders_of_a_source(ilsvrc: Path, all_names: dict[str, list[str]], tmp_path: Path) -> None:
    torchvision(ilsvrc, tmp_path / "source")
    subset = write_list(tmp_path / "few.txt", all_names[TRAIN][::20])
    data_dir = tmp_path / "data"
    options = ("--check-counts", "false", "--formats", "none")
    ended = build(data_dir, tmp_path / "source", subset, *options)
    assert ended.is_well, ended.output
    folder = DataSetPaths(data_dir).subset_folders("few", TRAIN)
    assert names_in(folder) == all_names[TRAIN][::20]
    assert all(path.resolve().is_relative_to(tmp_path / "source") for path in folder.glob("*/*"))
    # A source that has moved is linked to anew.
    (tmp_path / "source").rename(tmp_path / "moved")
    assert build(data_dir, tmp_path / "moved", subset, *options).is_well
    assert all(path.is_file() for path in folder.glob("*/*"))


# Other runs ----------------------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing_also_when_the_list_is_gone(images: Built) -> None:
    before = times(images.data_dir)
    hidden = images.subset.rename(images.subset.with_suffix(".hidden"))
    again = build(images.data_dir, images.subset.parent / "nothing", images.subset)
    hidden.rename(images.subset)
    assert "Did not run any tasks" in again.output
    assert times(images.data_dir) == before


def test_another_list_of_the_same_name_is_refused(images: Built, tmp_path: Path) -> None:
    other = write_list(tmp_path / "third.txt", images.taken[TRAIN][1:])
    for ended in (
        build(images.data_dir, images.subset.parent / "nothing", other),
        verify(images.data_dir, "--subset", other, "--repair", "true"),
    ):
        assert not ended.is_well
        assert ended.is_clear
        assert f"{other} is not the list that the subset third of {images.data_dir} was begun with" in ended.output


@pytest.mark.parametrize("subset", ["1percent", "imagenet100"])
def test_a_packaged_list_that_the_data_lacks_is_one_clear_line(subset: str, images: Built) -> None:
    ended = build(images.data_dir, images.subset.parent / "nothing", subset)
    assert not ended.is_well
    assert ended.is_clear
    [line] = [line for line in ended.output.splitlines() if line.startswith("ERROR: BuildAll")]
    assert re.search(rf"{subset}:1: n[0-9]{{8}}.* is not in the table of synsets \(5 of them\)", line)


def test_an_image_that_is_not_there_is_named_with_its_line_and_without_it_the_list_is_built(
    images: Built, tmp_path: Path
) -> None:
    data_dir = shutil.copytree(images.data_dir, tmp_path / "data", symlinks=True)
    image = images.taken[TRAIN][0]
    subset = write_list(tmp_path / "odd.txt", ["# A comment", image, f"{image[:9]}_0.JPEG"])
    ended = build(data_dir, images.subset.parent / "nothing", subset, "--formats", "none")
    assert not ended.is_well
    assert ended.is_clear
    assert f"{subset}:3: {image[:9]}_0.JPEG is not among the 90 training images" in ended.output
    write_list(subset, [image])
    assert (ended := build(data_dir, images.subset.parent / "nothing", subset, "--formats", "none")).is_well, ended
    assert names_in(DataSetPaths(data_dir).subset_folders("odd", TRAIN)) == [image]


# Verification --------------------------------------------------------------------------------------------------------


def test_each_selection_and_the_whole_verify_beside_each_other(images: Built) -> None:
    assert (ended := verify(images.data_dir, "--subset", images.subset)).is_well, ended.output
    assert (ended := verify(images.data_dir)).is_well, ended.output


def test_what_is_damaged_of_a_subset_is_named_and_made_again(synsets: Built, ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(synsets.data_dir, tmp_path / "data", copy_function=shutil.copy2)
    paths = DataSetPaths(data_dir)
    folders = {split: paths.subset_folders("two", split) for split in SPLITS}
    flipped, gone = (sorted(folder.glob("*/*"))[0] for folder in folders.values())
    contents = flipped.read_bytes()
    flipped.write_bytes(bytes([contents[0] ^ 1]) + contents[1:])
    gone.unlink()
    begun, copy = paths.begun_records("webdataset-two", TRAIN), paths.subset_list("two")
    begun.write_bytes(begun.read_bytes().replace(b"8", b"9"))
    copy.unlink()
    options = ("--subset", synsets.subset, "--formats", "tfrecord,webdataset")
    ended = verify(data_dir, *options, "--repair", "true")
    assert not ended.is_well
    assert all(str(path) in ended.output for path in (flipped, gone, begun, copy))
    assert build(data_dir, ilsvrc, synsets.subset, "--formats", "tfrecord,webdataset").is_well
    assert (ended := verify(data_dir, *options)).is_well, ended.output


def test_the_image_that_a_link_leads_to_is_verified(images: Built, tmp_path: Path) -> None:
    data_dir = shutil.copytree(images.data_dir, tmp_path / "data", symlinks=True)
    image = next(iter(DataSetPaths(data_dir).subset_folders("third", TRAIN).glob("*/*"))).resolve()
    contents = image.read_bytes()
    image.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    ended = verify(data_dir, "--subset", images.subset, "--formats", "none", "--date", "2026-11-22")
    assert not ended.is_well
    assert str(image) in ended.output
