"""The official archives of ILSVRC2012: names, sizes, MD5 sums.

The sums are those that torchvision (``torchvision/datasets/imagenet.py``) and tensorflow-datasets publish for the
files behind https://image-net.org/challenges/LSVRC/2012/2012-downloads.php.
"""

from dataclasses import dataclass

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION

SOURCE = "https://image-net.org/data/ILSVRC/2012"
"""Where image-net.org serves the archives to accounts that have accepted its terms."""

SIGN_UP = "https://image-net.org/download-images"
"""Where an account is made and the terms are accepted."""

CHECKSUM_FILE = "MD5SUMS"
"""The name of an ``md5sum`` file that a source folder may hold beside its archives."""


@dataclass(frozen=True)
class Archive:
    """One archive as image-net.org publishes it.

    Attributes
    ----------
    name : str
        The official file name, below a source.
    local_name : str
        The file name below ``ilsvrc2012/`` of a data directory.
    md5 : str
        The official MD5 sum, 32 hexadecimal digits.
    size : int or None
        The official size in bytes; None if it is published only roughly.
    """

    name: str
    local_name: str
    md5: str
    size: int | None


TRAIN_ARCHIVE = Archive(
    "ILSVRC2012_img_train.tar", "training_images.tar", "1d675b47d978889d74fa0da5fadfb00e", 147_897_477_120
)
VALIDATION_ARCHIVE = Archive(
    "ILSVRC2012_img_val.tar", "validation_images.tar", "29b22e2961454d5413ddabcf34fc5622", 6_744_924_160
)
BOUNDING_BOX_ARCHIVE = Archive(
    "ILSVRC2012_bbox_train_v2.tar.gz", "training_bounding_boxes.tar.gz", "9271167e2176350e65cfe4e546f14b17", None
)
VALIDATION_BOX_ARCHIVE = Archive(
    "ILSVRC2012_bbox_val_v3.tgz", "validation_bounding_boxes.tgz", "f4cd18b5ea29fe6bbea62ec9c20d80f0", None
)

ARCHIVES = (TRAIN_ARCHIVE, VALIDATION_ARCHIVE, BOUNDING_BOX_ARCHIVE)
"""Those that a build needs."""

ALL_ARCHIVES = (*ARCHIVES, VALIDATION_BOX_ARCHIVE)
"""Those that a build may have."""

IMAGE_ARCHIVES = {TRAIN: TRAIN_ARCHIVE, VALIDATION: VALIDATION_ARCHIVE}
"""The archive that holds the images of a split."""

ANNOTATION_ARCHIVES = {TRAIN: BOUNDING_BOX_ARCHIVE, VALIDATION: VALIDATION_BOX_ARCHIVE}
"""The archive that holds the annotations of a split."""
