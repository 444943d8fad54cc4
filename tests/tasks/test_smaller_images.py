"""Builds whose records have smaller images, as users see them."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from luigi_ilsvrc.dataset import resize
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.storage.kept import as_kept, kept_lines
from tests.support.in_process import Run, run
from tests.support.running import SHARDS

pytest.importorskip("cykooz_resizer")
pytestmark = pytest.mark.slow

SIDE = 24
SIZE = ("--resize", f"short:{SIDE}", "--images", "none")


def build(data_dir: Path, source: object, *options: object) -> Run:
    return run("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, *SIZE, *options)


def verify(data_dir: Path, *options: object) -> Run:
    return run("VerifyBuild", "--data-dir", data_dir, *SHARDS, *SIZE, *options)


class Sample(NamedTuple):
    """An image of a WebDataset, and what is said of it."""

    encoded: bytes
    said: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height."""
        with Image.open(io.BytesIO(self.encoded)) as image:
            return image.size


def samples(paths: DataSetPaths, selection: str) -> dict[str, Sample]:
    """Return the samples of all shards by their names, in their order."""
    files: dict[str, bytes] = {}
    for shard in sorted(paths.records(f"webdataset{selection}").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                files[member.name] = file.read()
    stems = [name.removesuffix(".jpg") for name in files if name.endswith(".jpg")]
    return {stem: Sample(files[f"{stem}.jpg"], json.loads(files[f"{stem}.json"])) for stem in stems}


def records(paths: DataSetPaths, selection: str) -> list[bytes]:
    shards = sorted(paths.records(f"tfrecords{selection}").glob("*-of-*"))
    return [record for shard in shards for record in tfrecord.read_records(shard)]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def small(ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smaller images in two formats by one worker: read it, do not change it."""
    data_dir = tmp_path_factory.mktemp("small")
    ended = build(data_dir, ilsvrc, "--formats", "tfrecord,webdataset")
    assert ended.is_well, ended.output
    return data_dir


@pytest.fixture(scope="module")
def both(small: Path, ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and the images as they are, built beside them by two workers from archives that lie elsewhere."""
    data_dir = tmp_path_factory.mktemp("both")
    options = ("--images", "none", "--formats", "webdataset", "--source", ilsvrc, "--workers", "2")
    assert run("BuildAll", "--data-dir", data_dir, *SHARDS, *options).is_well
    ended = build(data_dir, ilsvrc, "--formats", "tfrecord", "--workers", "2")
    assert ended.is_well, ended.output
    return data_dir


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "data", copy_function=shutil.copy2))


# The images ----------------------------------------------------------------------------------------------------------


def test_larger_images_have_the_side_that_is_given_and_their_own_shape(small: Path, both: Path) -> None:
    originals, found = samples(DataSetPaths(both), ""), samples(DataSetPaths(small), f"-short{SIDE}")
    assert list(found) == list(originals)
    larger = [name for name in found if min(originals[name].size) > SIDE]
    assert larger
    for name in larger:
        (width, height), (before_width, before_height) = found[name].size, originals[name].size
        assert min(width, height) == SIDE
        assert (
            abs(max(width, height) - SIDE * max(before_width, before_height) / min(before_width, before_height)) <= 0.5
        )


def test_small_images_keep_their_bytes(small: Path, both: Path) -> None:
    originals, found = samples(DataSetPaths(both), ""), samples(DataSetPaths(small), f"-short{SIDE}")
    smaller = [name for name in found if min(originals[name].size) <= SIDE]
    assert smaller
    assert all(found[name].encoded == originals[name].encoded for name in smaller)


def test_height_and_width_are_new_and_all_else_is_as_before(small: Path, both: Path) -> None:
    originals, found = samples(DataSetPaths(both), ""), samples(DataSetPaths(small), f"-short{SIDE}")
    assert any(sample.said["boxes"] for sample in found.values())
    for name, sample in found.items():
        width, height = sample.size
        assert sample.said == {**originals[name].said, "width": width, "height": height}


def test_both_formats_have_the_same_images(small: Path) -> None:
    paths, selection = DataSetPaths(small), f"-short{SIDE}"
    encoded = [tfrecord.image_in(record) for record in records(paths, selection)]
    assert encoded == [sample.encoded for sample in samples(paths, selection).values()]


def test_one_worker_and_two_make_the_same_bytes(small: Path, both: Path) -> None:
    folder = f"tfrecords-short{SIDE}"
    assert bytes_of(DataSetPaths(small).records(folder)) == bytes_of(DataSetPaths(both).records(folder))


# Other runs ----------------------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(small: Path, ilsvrc: Path) -> None:
    assert "Did not run any tasks" in build(small, ilsvrc, "--formats", "tfrecord,webdataset").output


def test_images_as_they_are_and_smaller_ones_verify_beside_each_other(both: Path) -> None:
    assert (ended := verify(both)).is_well, ended.output
    whole = run("VerifyBuild", "--data-dir", both, *SHARDS, "--images", "none", "--formats", "webdataset")
    assert whole.is_well, whole.output


def test_another_quality_is_refused_and_repairs_nothing(small: Path, ilsvrc: Path) -> None:
    for ended in (build(small, ilsvrc, "--quality", "80"), verify(small, "--quality", "80", "--repair", "true")):
        assert not ended.is_well
        assert ended.is_clear
        assert "its train shards were begun with quality 90, and this run has quality 80" in ended.output


def test_without_the_library_a_build_ends_with_one_line_before_anything_is_scheduled(
    ilsvrc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise BuildError("images cannot be made smaller without cykooz-resizer")

    monkeypatch.setattr("luigi_ilsvrc.tasks.selection.library", missing)
    ended = build(tmp_path / "data", ilsvrc)
    assert not ended.is_well
    assert ended.is_clear
    assert "ERROR: BuildAll: images cannot be made smaller without cykooz-resizer" in ended.output
    assert not (tmp_path / "data" / "ilsvrc2012" / "training_images.tar").exists()


def test_other_versions_of_the_library_are_not_mixed_and_no_fault(
    copy: Path, ilsvrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luigi_ilsvrc.tasks.selection.library", lambda: "Pillow 99")
    # What is there is complete, and right.
    assert build(copy, ilsvrc).is_well
    assert (ended := verify(copy)).is_well, ended.output
    next(DataSetPaths(copy).records(f"tfrecords-short{SIDE}").glob("train-*")).unlink()
    ended = build(copy, ilsvrc)
    assert not ended.is_well
    assert ended.is_clear
    assert f"its train shards were begun with library {resize.library()}, and this run has library" in ended.output


def test_damage_to_what_records_were_begun_with_and_to_an_image_is_found_and_mended(copy: Path, ilsvrc: Path) -> None:
    paths, folder = DataSetPaths(copy), f"tfrecords-short{SIDE}"
    begun = {split: paths.begun_records(folder, split) for split in SPLITS}
    before = {split: path.read_bytes() for split, path in begun.items()}
    begun[TRAIN].write_bytes(before[TRAIN].replace(b"90", b"91"))
    begun["validation"].unlink()
    shard = next(paths.records(folder).glob("train-*"))
    contents = bytearray(shard.read_bytes())
    # In the scan of a JPEG.
    contents[contents.index(b"\xff\xda") + 20] ^= 1
    shard.write_bytes(contents)
    ended = verify(copy, "--repair", "true")
    assert not ended.is_well
    assert all(str(path) in ended.output for path in (*begun.values(), shard))
    assert build(copy, ilsvrc).is_well
    assert {split: path.read_bytes() for split, path in begun.items()} == before
    assert (ended := verify(copy)).is_well, ended.output


def test_what_is_begun_says_size_quality_and_library(small: Path) -> None:
    path = DataSetPaths(small).begun_records(f"webdataset-short{SIDE}", TRAIN)
    lines = f"shards=8\nresize=short:{SIDE}\nquality=90\nlibrary={resize.library()}\n"
    assert kept_lines(path) == lines
    assert path.read_bytes() == as_kept(lines)
