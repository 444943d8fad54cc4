from pathlib import Path

import pytest

from luigi_ilsvrc import miniature


@pytest.fixture(scope="session")
def ilsvrc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of tiny images, for all tests: read it, do not change it."""
    directory = tmp_path_factory.mktemp("miniature")
    miniature.write(directory, synsets=5, train_images=90, validation_images=25, xml_files=40, tiny=True)
    return directory
