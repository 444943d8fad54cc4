from typing import Any

import pytest


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """The oracle of the formats that are tensorflow's; without it, the tests that need it are skipped."""
    return pytest.importorskip("tensorflow")
