import gzip
import io
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luigi_ilsvrc import miniature
from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE, Archive
from tests.reliability.fuzz import Sample, Tally, mutate, mutate_gzip, read_train, run_case
from tests.support.running import luigi

pytestmark = pytest.mark.slow

QUICK = ("--checksums", "none", "--formats", "none")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, tensorflow: Any) -> Sample:
    """Archives to be changed. tensorflow, which reads the shards, is imported before: it writes to the home folder."""
    directory = tmp_path_factory.mktemp("sample")
    miniature.write(directory, synsets=3, train_images=12, validation_images=6, xml_files=8, tiny=True)
    return Sample(directory)


# Mutated at random ---------------------------------------------------------------------------------------------------

Mutate = Callable[[bytes, random.Random], bytes]


@pytest.mark.parametrize(
    ("kind", "change"),
    [("train", mutate), ("validation", mutate), ("boxes", mutate_gzip)],
    ids=["train", "validation", "boxes"],
)
@settings(max_examples=300)
@given(rng=st.randoms(use_true_random=False))
def test_a_mutated_archive_gives_what_it_holds_or_an_error_and_writes_nothing_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, sample: Sample, kind: str, change: Mutate, rng: random.Random
) -> None:
    archive = change(getattr(sample, kind), rng)
    sandbox, tally = tmp_path_factory.mktemp("sandbox"), Tally()
    run_case(lambda data_dir: getattr(sample, f"build_{kind}")(archive, data_dir), sandbox, tally)
    assert (tally.wrong, tally.escapes) == ([], [])


@pytest.mark.parametrize("kind", ["train", "validation", "boxes"])
def test_an_archive_that_is_not_mutated_is_no_error(tmp_path: Path, sample: Sample, kind: str) -> None:
    tally = Tally()
    archive = getattr(sample, kind)
    run_case(lambda data_dir: getattr(sample, f"build_{kind}")(archive, data_dir), tmp_path, tally)
    assert (tally.errors, tally.wrong, tally.escapes) == (0, [], [])


# Whole builds --------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(sample: Sample, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.directory, tmp_path / "source"))


def the_error(source: Path, task: str) -> str:
    """Run a task that must fail; return the error with the reasons below it."""
    data_dir = source.with_name("data")
    status, output = luigi(task, "--data-dir", data_dir, "--source", source, "--checksums", "none")
    assert status == 30, output
    assert "Traceback" not in output
    assert not list(data_dir.rglob("*.partial*"))
    error = output[output.index("ERROR: ") :].splitlines()
    return "\n".join([error[0], *(line for line in error[1:12] if line.startswith("  "))])


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("archive", "contents", "task", "reason"),
    [
        (TRAIN_ARCHIVE, b"", "IndexTrain", "truncated"),
        (VALIDATION_ARCHIVE, b"", "IndexValidation", "truncated"),
        (BOUNDING_BOX_ARCHIVE, b"", "BoundingBoxCSV", "truncated"),
        (TRAIN_ARCHIVE, gzip.compress(tar_of({"n01440764.tar": b""}), 0), "IndexTrain", "not a tar"),
        (BOUNDING_BOX_ARCHIVE, tar_of({"n02105855/n02105855_1.xml": b"<a/>"}), "BoundingBoxCSV", "not a gzip file"),
        (
            TRAIN_ARCHIVE,
            tar_of({"train/n01440764/images/n01440764_0.JPEG": b"x"}),
            "IndexTrain",
            "not of ILSVRC2012's layout",
        ),
        (VALIDATION_ARCHIVE, tar_of({"val/val_0.JPEG": b"x"}), "IndexValidation", "not of ILSVRC2012's layout"),
        (
            BOUNDING_BOX_ARCHIVE,
            gzip.compress(tar_of({"VOC2012/Annotations/2007_000027.xml": b"<a/>"})),
            "ExtractBoundingBoxes",
            "not of ILSVRC2012's layout",
        ),
    ],
    ids=["empty train", "empty validation", "empty boxes", "gzip", "tar", "tiny-imagenet", "its validation", "VOC"],
)
def test_a_wrong_archive_is_one_clear_error(
    source: Path, archive: Archive, contents: bytes, task: str, reason: str
) -> None:
    (source / archive.name).write_bytes(contents)
    error = the_error(source, task)
    assert f"data/ilsvrc2012/{archive.local_name}" in error
    assert reason in error


def test_all_bad_annotations_of_a_build_are_named_in_one_error(source: Path) -> None:
    bad = {
        "no_xml": b"see attached",
        "encoding": b'<?xml version="1.0" encoding="x-none"?><annotation/>',
        "no_size": b"<annotation/>",
        "zero": b"<annotation><size><width>0</width><height>9</height></size></annotation>",
        "nan": b"<annotation><size><width>nan</width><height>9</height></size></annotation>",
        "text": b"<annotation>" + b"x" * 1_000_000 + b"</annotation>",
        "entities": b'<!DOCTYPE a [<!ENTITY a "b">]><annotation><a>&a;</a></annotation>',
        "empty": b"",
    }
    files = {f"n02105855/n02105855_{number}.xml": xml for number, xml in enumerate(bad.values())}
    (source / BOUNDING_BOX_ARCHIVE.name).write_bytes(gzip.compress(tar_of(files), 1))
    error = the_error(source, "BoundingBoxCSV")
    assert f"{len(bad)} malformed annotations" in error
    assert all(f"{name}: " in error for name in files), error


def test_all_bad_images_of_a_shard_are_named_with_archive_and_offset(sample: Sample, source: Path) -> None:
    def lie(jpeg: bytes) -> bytes:
        frame = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
        return jpeg[: frame + 5] + b"\x7f\xff\x7f\xff" + jpeg[frame + 9 :] if frame > 0 else b"\x89PNG"

    images = read_train(sample.train)
    lies = [lie, lambda _: b"a text", lambda jpeg: jpeg[:100]]
    tars: dict[str, dict[str, bytes]] = {}
    for number, (path, image) in enumerate(sorted(images.items())):
        synset, _, name = path.partition("/")
        tars.setdefault(synset, {})[name] = lies[number % 3](image)
    (source / TRAIN_ARCHIVE.name).write_bytes(
        tar_of({f"{synset}.tar": tar_of(files) for synset, files in tars.items()})
    )
    data_dir = source.with_name("data")
    shard = ("TFRecordShard", "--split", "train", "--num-shards", "1", "--shard", "0")
    status, output = luigi(*shard, "--data-dir", data_dir, "--source", source, "--checksums", "none")
    assert status == 30, output
    error = output[output.rindex("ERROR: ") :]
    archive = f"{data_dir}/ilsvrc2012/{TRAIN_ARCHIVE.local_name}"
    assert "ERROR: " in error
    assert f"{len(images)} images cannot be used" in error
    assert error.count(f" in {archive} at byte ") == 10
    assert "and 2 more" in error
