import csv
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luigi_ilsvrc import DownloadTrain, TFRecordShard
from luigi_ilsvrc.dataset.archives import ARCHIVES, BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE
from tests.support.running import LOG_TASKS, SHARDS, contents, http_server, luigi, luigid, start_luigi, times

pytestmark = pytest.mark.slow


@pytest.fixture
def only_tables(ilsvrc: Path, tmp_path: Path) -> Path:
    """A source directory without the archives."""
    directory = tmp_path / "tables"
    directory.mkdir()
    for name in ("unique_synsets.txt", "validation_synset_labels.txt", "synset_english_key.txt"):
        shutil.copy(ilsvrc / name, directory)
    return directory


def records(data_dir: Path, split: str) -> Iterator[Any]:
    import tensorflow as tf

    for path in sorted((data_dir / "ilsvrc2012" / "tfrecords").glob(f"{split}-*")):
        for record in tf.data.TFRecordDataset(str(path)):
            yield tf.train.Example.FromString(record.numpy()).features.feature


def delete_archives(data_dir: Path) -> None:
    for archive in ARCHIVES:
        (data_dir / "ilsvrc2012" / archive.local_name).unlink()


# What is built -------------------------------------------------------------------------------------------------------


def test_a_build_gives_the_promised_files_and_nothing_else(built: Path) -> None:
    assert sorted(os.listdir(built)) == ["bounding_boxes.csv", "ilsvrc2012"]
    assert sorted(os.listdir(built / "ilsvrc2012")) == [
        "classes.csv",
        "index",
        "label_tables",
        "report.html",
        "tfrecords",
        "tfrecords_index",
        "training_bounding_boxes",
        "training_bounding_boxes.tar.gz",
        "training_images",
        "training_images.tar",
        "validation_images",
        "validation_images.tar",
    ]
    shards = [
        *(f"train-{shard:05}-of-00008" for shard in range(8)),
        *(f"validation-{shard:05}-of-00003" for shard in range(3)),
    ]
    assert sorted(os.listdir(built / "ilsvrc2012" / "tfrecords_index")) == shards
    metadata = ["dataset_info.json", "features.json"]
    assert sorted(os.listdir(built / "ilsvrc2012" / "tfrecords")) == [*metadata, *shards]


def test_training_images_lie_in_class_folders_byte_for_byte(built: Path, ilsvrc: Path) -> None:
    expected = {}
    with tarfile.open(ilsvrc / TRAIN_ARCHIVE.name) as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                for image in inner:
                    contained = inner.extractfile(image)
                    assert contained is not None
                    expected[f"{member.name.removesuffix('.tar')}/{image.name}"] = contained.read()
    folders = built / "ilsvrc2012" / "training_images"
    assert {str(path.relative_to(folders)): path.read_bytes() for path in folders.glob("*/*")} == expected


def test_validation_images_lie_in_the_folders_of_their_labels(built: Path, ilsvrc: Path) -> None:
    labels = (ilsvrc / "validation_synset_labels.txt").read_text().split()
    folders = built / "ilsvrc2012" / "validation_images"
    found = {path.name: path.parent.name for path in folders.glob("*/*")}
    assert found == {f"ILSVRC2012_val_{number:08}.JPEG": label for number, label in enumerate(labels, start=1)}


def test_annotations_lie_in_class_folders(built: Path, ilsvrc: Path) -> None:
    folders = built / "ilsvrc2012" / "training_bounding_boxes"
    with tarfile.open(ilsvrc / BOUNDING_BOX_ARCHIVE.name) as tar:
        assert {str(path.relative_to(folders)) for path in folders.glob("*/*.xml")} == set(tar.getnames())


def test_each_image_is_in_exactly_one_record_with_its_label_and_boxes(built: Path, ilsvrc: Path) -> None:
    table = (ilsvrc / "unique_synsets.txt").read_text().split()
    boxes: dict[str, list[str]] = {}
    with (built / "bounding_boxes.csv").open(newline="") as file:
        for row in csv.reader(file):
            boxes.setdefault(row[0], []).append(",".join(row[1:]))
    for split, folders in (("train", "training_images"), ("validation", "validation_images")):
        images = {path.name: path.parent.name for path in (built / "ilsvrc2012" / folders).glob("*/*")}
        for feature in records(built, split):
            name = feature["image/filename"].bytes_list.value[0].decode()
            synset = images.pop(name)
            assert feature["image/class/synset"].bytes_list.value[0].decode() == synset
            assert feature["image/class/label"].int64_list.value[0] == table.index(synset) + 1
            corners = zip(
                *(feature[f"image/object/bbox/{edge}"].float_list.value for edge in ("xmin", "ymin", "xmax", "ymax")),
                strict=True,
            )
            assert [",".join(f"{value:.4f}" for value in box) for box in corners] == boxes.get(name, [])
        assert images == {}


# The same bytes, however it is built ---------------------------------------------------------------------------------


def test_two_worker_processes_build_the_same_bytes(built: Path, ilsvrc: Path, tmp_path: Path) -> None:
    status, output = luigi("BuildAll", "--data-dir", tmp_path, "--source", ilsvrc, *SHARDS, "--workers", "2")
    assert status == 0, output
    assert contents(tmp_path) == contents(built)


def test_a_build_over_http_gives_the_same_bytes(built: Path, ilsvrc: Path, tmp_path: Path) -> None:
    tables = ("unique_synsets", "validation_synset_labels", "synset_english_key")
    given = [word for name in tables for word in (f"--{name.replace('_', '-')}", ilsvrc / f"{name}.txt")]
    with http_server(ilsvrc) as url:
        status, output = luigi(
            *("BuildAll", "--data-dir", tmp_path, "--source", url, "--checksums", ilsvrc / "MD5SUMS", *given, *SHARDS)
        )
    assert status == 0, output
    assert contents(tmp_path) == contents(built)


def test_two_builds_on_one_scheduler_do_not_touch_each_other(built: Path, ilsvrc: Path, tmp_path: Path) -> None:
    with luigid(tmp_path) as port:
        builds = [
            start_luigi(
                *("BuildAll", "--data-dir", tmp_path / name, "--source", ilsvrc, *SHARDS, "--workers", "2"),
                *("--scheduler-host", "127.0.0.1", "--scheduler-port", port),
            )
            for name in ("one", "two")
        ]
        for build in builds:
            output, _ = build.communicate(timeout=120)
            assert build.returncode == 0, output
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(built)


def test_an_assistant_without_our_configuration_builds_the_same_bytes(
    built: Path, ilsvrc: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with luigid(tmp_path) as port:
        scheduler = ("--scheduler-host", "127.0.0.1", "--scheduler-port", port)
        # Luigi's own empty task: the assistant has no work of its own.
        assistant = start_luigi(
            *("WrapperTask", "--assistant", "--worker-keep-alive", "--workers", "2", *scheduler), config=None
        )
        # With --workers 0 the main process schedules and waits, and only the assistant builds.
        main = start_luigi(
            *("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS, *scheduler),
            *("--workers", "0", "--worker-keep-alive"),
        )
        output, _ = main.communicate(timeout=120)
        assistant.terminate()
        said, _ = assistant.communicate(timeout=60)
    assert contents(data_dir) == contents(built), output + said


# Again ---------------------------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(data_dir: Path, ilsvrc: Path) -> None:
    before = times(data_dir)
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert (status, "Did not run any tasks" in output) == (0, True), output
    assert times(data_dir) == before


def test_deleted_archives_are_not_missed_when_all_is_built(data_dir: Path, ilsvrc: Path) -> None:
    delete_archives(data_dir)
    before = times(data_dir)
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert (status, "Did not run any tasks" in output) == (0, True), output
    assert times(data_dir) == before


def test_a_deleted_output_alone_is_built_again(data_dir: Path, built: Path, ilsvrc: Path) -> None:
    shutil.rmtree(next((data_dir / "ilsvrc2012" / "training_images").iterdir()))
    (data_dir / "ilsvrc2012" / "tfrecords" / "train-00003-of-00008").unlink()
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS, *LOG_TASKS)
    assert status == 0, output
    assert output.count("running   ExtractTrainPerSynset") == output.count("running   TFRecordShard") == 1
    assert contents(data_dir) == contents(built)


@pytest.mark.parametrize("damage", ["missing", "changed", "extra"])
def test_boxes_are_not_made_from_extracted_annotations_that_are_not_as_they_were_written(
    data_dir: Path, built: Path, ilsvrc: Path, damage: str
) -> None:
    delete_archives(data_dir)
    boxes, folder = data_dir / "bounding_boxes.csv", data_dir / "ilsvrc2012" / "training_bounding_boxes"
    boxes.unlink()
    annotation = next(folder.glob("*/*.xml"))
    if damage == "missing":
        annotation.unlink()
    else:
        name = annotation.name if damage == "changed" else f"{annotation.parent.name}_999999.xml"
        annotation.with_name(name).write_bytes(annotation.read_bytes().replace(b"<bndbox>", b"<bndbox> ", 1))
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert status == 30, output
    assert f"delete {folder} and run the build again" in output.splitlines()[-1]
    assert not boxes.exists()
    shutil.rmtree(folder)
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert status == 0, output
    assert boxes.read_bytes() == (built / "bounding_boxes.csv").read_bytes()


def test_shards_are_made_from_class_folders_when_the_archives_are_gone(
    data_dir: Path, built: Path, only_tables: Path
) -> None:
    delete_archives(data_dir)
    shutil.rmtree(data_dir / "ilsvrc2012" / "tfrecords")
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", only_tables, *SHARDS)
    assert (status, "Download" in output) == (0, False), output
    assert contents(data_dir / "ilsvrc2012" / "tfrecords") == contents(built / "ilsvrc2012" / "tfrecords")


def test_class_folders_that_a_user_already_has_are_enough(built: Path, data_dir: Path, only_tables: Path) -> None:
    delete_archives(data_dir)
    for made in ("tfrecords", "index"):
        shutil.rmtree(data_dir / "ilsvrc2012" / made)
    (data_dir / "bounding_boxes.csv").unlink()
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", only_tables, *SHARDS)
    assert (status, "Download" in output) == (0, False), output
    assert contents(data_dir / "ilsvrc2012" / "tfrecords") == contents(built / "ilsvrc2012" / "tfrecords")
    assert (data_dir / "bounding_boxes.csv").read_bytes() == (built / "bounding_boxes.csv").read_bytes()


def test_an_archive_is_brought_again_when_it_and_a_class_folder_are_gone(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    delete_archives(data_dir)
    shutil.rmtree(next((data_dir / "ilsvrc2012" / "training_images").iterdir()))
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert status == 0, output
    assert contents(data_dir / "ilsvrc2012" / "training_images") == contents(built / "ilsvrc2012" / "training_images")


def test_a_shard_waits_for_the_archive_when_index_archive_and_a_class_folder_are_gone(
    data_dir: Path, ilsvrc: Path
) -> None:
    shard = TFRecordShard(data_dir=data_dir, source=str(ilsvrc), split="train", shard=0, num_shards=8)
    download = shard.clone(DownloadTrain)
    dataset = data_dir / "ilsvrc2012"
    (dataset / TRAIN_ARCHIVE.local_name).rename(dataset / f"{TRAIN_ARCHIVE.local_name}.damaged")
    assert download not in shard.requires(), "the class folders are enough"
    shutil.rmtree(next((dataset / "training_images").iterdir()))
    assert download in shard.requires()
    shutil.rmtree(dataset / "index" / "train")
    assert download in shard.requires()
