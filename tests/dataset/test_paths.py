from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION

DATA = Path("/data")
PATHS = DataSetPaths(DATA)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PATHS.dataset, "ilsvrc2012"),
        (PATHS.bounding_boxes, "bounding_boxes.csv"),
        (PATHS.annotations, "ilsvrc2012/training_bounding_boxes"),
        (PATHS.archive(TRAIN_ARCHIVE), "ilsvrc2012/training_images.tar"),
        (PATHS.quarantine(TRAIN_ARCHIVE), "ilsvrc2012/training_images.tar.damaged"),
        (PATHS.class_folders(TRAIN), "ilsvrc2012/training_images"),
        (PATHS.class_folders(VALIDATION), "ilsvrc2012/validation_images"),
        (PATHS.records("tfrecords"), "ilsvrc2012/tfrecords"),
        (PATHS.index_folder, "ilsvrc2012/index"),
        (PATHS.index(TRAIN), "ilsvrc2012/index/train"),
        (PATHS.index(VALIDATION, "-folders"), "ilsvrc2012/index/validation-folders"),
        (PATHS.plan(TRAIN, 8), "ilsvrc2012/index/train-plan-of-00008"),
        (PATHS.manifests, "ilsvrc2012/index/manifests"),
        (PATHS.verifications, "ilsvrc2012/verification"),
        (PATHS.verification("2026-11-22"), "ilsvrc2012/verification/2026-11-22.json"),
        (PATHS.findings("2026-11-22"), "ilsvrc2012/verification/2026-11-22-damage.txt"),
        (PATHS.verification_run("2026-11-22", "17"), "ilsvrc2012/verification/2026-11-22.17.partial"),
        (PATHS.build_record, "ilsvrc2012/index/build.json"),
        (PATHS.build_record_copy, "ilsvrc2012/index/tables/build.json"),
        (
            PATHS.table("unique_synsets.txt", "0123456789abcdef01"),
            "ilsvrc2012/index/tables/0123456789abcdef-unique_synsets.txt",
        ),
        (PATHS.archive_record(TRAIN_ARCHIVE), "ilsvrc2012/index/manifests/training_images.tar.json"),
        (PATHS.lock(PATHS.bounding_boxes), "ilsvrc2012/index/locks/bounding_boxes.csv"),
    ],
)
def test_an_output_lies_where_users_look_for_it(path: Path, expected: str) -> None:
    assert path == DATA / expected


@pytest.mark.parametrize(
    ("output", "manifest"),
    [
        (PATHS.class_folders(TRAIN) / "n01440764", "training_images/n01440764.csv"),
        (PATHS.class_folders(VALIDATION), "validation_images.csv"),
        (PATHS.index(TRAIN), "index/train.csv"),
        (PATHS.plan(TRAIN, 8), "index/train-plan-of-00008.csv"),
        (PATHS.annotations, "training_bounding_boxes.csv"),
        (PATHS.bounding_boxes, "bounding_boxes.csv.csv"),
    ],
)
def test_a_manifest_lies_among_the_manifests_as_its_output_among_the_outputs(output: Path, manifest: str) -> None:
    assert PATHS.manifest(output) == PATHS.manifests / manifest


def test_every_output_has_a_lock_of_its_own() -> None:
    outputs = [
        *(PATHS.bounding_boxes, PATHS.annotations, PATHS.index(TRAIN), PATHS.plan(TRAIN, 8)),
        *(PATHS.class_folders(TRAIN) / "n01440764", PATHS.class_folders(VALIDATION)),
        *(PATHS.records("tfrecords") / name for name in ("train-00000-of-00008", "train-00001-of-00008")),
    ]
    locks = {PATHS.lock(output) for output in outputs}
    assert len(locks) == len(outputs)
    assert {lock.parent for lock in locks} == {PATHS.locks}


def test_a_build_in_another_folder_has_other_paths() -> None:
    assert DataSetPaths(Path("/other")).bounding_boxes == Path("/other/bounding_boxes.csv")
