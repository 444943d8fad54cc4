from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write the training archive of a data set."""

    def write(contents: bytes) -> Path:
        path = tmp_path / "training_images.tar"
        path.write_bytes(contents)
        return path

    return write
