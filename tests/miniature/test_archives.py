import hashlib
import tarfile
from pathlib import Path
from xml.etree import ElementTree

from luigi_ilsvrc.dataset.archives import ARCHIVES, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS, read_synsets
from tests.miniature.reading import VALIDATION_IMAGES, XML_FILES, annotation_tar, headers, members


def test_the_training_archive_is_a_tar_of_one_tar_for_each_synset(small: Path) -> None:
    inner = members(small / TRAIN_ARCHIVE.name)
    assert set(inner) == {f"{synset}.tar" for synset in read_synsets(small / UNIQUE_SYNSETS)}
    for name, tar in inner.items():
        prefix = name.removesuffix(".tar") + "_"
        assert all(member.startswith(prefix) and member.endswith(".JPEG") for member in members(tar))


def test_the_validation_images_are_numbered_from_one_and_not_sorted(validation: dict[str, bytes]) -> None:
    names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, VALIDATION_IMAGES + 1)]
    assert sorted(validation) == names
    assert list(validation) != names


def test_annotations_lie_in_a_folder_for_each_synset(annotations: dict[str, ElementTree.Element]) -> None:
    assert len(annotations) == XML_FILES
    for name, root in annotations.items():
        assert name.split("/")[0] == root.findtext("folder") == name.split("/")[1].split("_")[0]
    assert list(annotations) != sorted(annotations)


def test_members_are_plain_files_without_an_owner(small: Path) -> None:
    outer = (small / TRAIN_ARCHIVE.name).read_bytes()
    tars = [
        outer,
        *members(outer).values(),
        (small / VALIDATION_ARCHIVE.name).read_bytes(),
        annotation_tar(small),
    ]
    for tar in tars:
        assert len(tar) % tarfile.RECORDSIZE == 0
        for member in headers(tar):
            assert (member.type, member.mode, member.uid, member.gid) == (tarfile.REGTYPE, 0o644, 0, 0)


def test_the_md5_sums_are_those_of_the_archives(small: Path) -> None:
    assert (small / "MD5SUMS").read_text().splitlines() == [
        f"{hashlib.md5((small / archive.name).read_bytes()).hexdigest()}  {archive.name}" for archive in ARCHIVES
    ]
