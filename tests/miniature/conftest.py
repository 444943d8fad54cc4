from pathlib import Path
from xml.etree import ElementTree

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from tests.miniature.reading import annotation_tar, members, write_small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of pictures of a photograph's size: read it, do not change it."""
    return write_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def training(small: Path) -> dict[str, bytes]:
    """The training images of `small`."""
    tars = members(small / TRAIN_ARCHIVE.name).values()
    return {name: data for tar in tars for name, data in members(tar).items()}


@pytest.fixture(scope="session")
def validation(small: Path) -> dict[str, bytes]:
    """The validation images of `small`."""
    return members(small / VALIDATION_ARCHIVE.name)


@pytest.fixture(scope="session")
def annotations(small: Path) -> dict[str, ElementTree.Element]:
    """The annotations of `small`."""
    return {name: ElementTree.fromstring(xml) for name, xml in members(annotation_tar(small)).items()}
