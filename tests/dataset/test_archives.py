import pytest

from luigi_ilsvrc.dataset.archives import (
    ARCHIVES,
    BOUNDING_BOX_ARCHIVE,
    IMAGE_ARCHIVES,
    TRAIN_ARCHIVE,
    VALIDATION_ARCHIVE,
    Archive,
)
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION


@pytest.mark.parametrize(
    ("archive", "name", "local_name", "size", "md5"),
    [
        (
            *(TRAIN_ARCHIVE, "ILSVRC2012_img_train.tar", "training_images.tar"),
            *(147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e"),
        ),
        (
            *(VALIDATION_ARCHIVE, "ILSVRC2012_img_val.tar", "validation_images.tar"),
            *(6_744_924_160, "29b22e2961454d5413ddabcf34fc5622"),
        ),
        (
            *(BOUNDING_BOX_ARCHIVE, "ILSVRC2012_bbox_train_v2.tar.gz", "training_bounding_boxes.tar.gz"),
            *(None, "9271167e2176350e65cfe4e546f14b17"),
        ),
    ],
)
def test_an_archive_has_its_published_name_size_and_sum(
    archive: Archive, name: str, local_name: str, size: int | None, md5: str
) -> None:
    assert archive == Archive(name, local_name, md5, size)


def test_each_archive_is_listed_once() -> None:
    assert ARCHIVES == (TRAIN_ARCHIVE, VALIDATION_ARCHIVE, BOUNDING_BOX_ARCHIVE)


def test_the_images_of_a_split_lie_in_its_archive() -> None:
    assert IMAGE_ARCHIVES == {TRAIN: TRAIN_ARCHIVE, VALIDATION: VALIDATION_ARCHIVE}
