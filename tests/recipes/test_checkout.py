"""How the values of a recipe are replaced for a test."""

import pytest

from tests.recipes.checkout import replaced


def test_a_value_that_has_been_put_in_is_not_replaced_again() -> None:
    here = {"/data": "/tmp/pytest-16/data", "16": 1}
    assert replaced("DATA_DIR=/data WORKERS=16", here) == "DATA_DIR=/tmp/pytest-16/data WORKERS=1"


def test_a_recipe_without_the_value_is_an_error() -> None:
    with pytest.raises(AssertionError, match="8082"):
        replaced("WORKERS=16", {"8082": 9000})
