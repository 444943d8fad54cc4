import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts.parquet_import.rows import RowNames
from tests.layouts.archives import LABELS, SYNSETS
from tests.support.parquet_files import write_tables

FOLDERS = st.sampled_from(["", "train/", "a/b c/", "/data/n01440764/", "n01443537_1.JPEG/"])


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> LabelTables:
    return write_tables(tmp_path_factory.mktemp("tables"), SYNSETS, LABELS)


@given(FOLDERS, st.sampled_from(SYNSETS), st.from_regex("[0-9]{1,6}", fullmatch=True), st.booleans())
def test_the_name_of_a_training_image_is_in_its_path(
    tables: LabelTables, folders: str, synset: str, number: str, has_last: bool
) -> None:
    path = f"{folders}{synset}_{number}{f'_{synset}' if has_last else ''}.JPEG"
    assert RowNames(TRAIN, tables).name_of(path, SYNSETS.index(synset)) == f"{synset}_{number}.JPEG"


@given(FOLDERS, st.integers(1, len(LABELS)), st.booleans())
def test_the_name_of_a_validation_image_is_in_its_path(
    tables: LabelTables, folders: str, number: int, has_last: bool
) -> None:
    synset = LABELS[number - 1]
    path = f"{folders}ILSVRC2012_val_{number:08}{f'_{synset}' if has_last else ''}.JPEG"
    name = RowNames(VALIDATION, tables).name_of(path, SYNSETS.index(synset))
    assert name == f"ILSVRC2012_val_{number:08}.JPEG"


@given(
    st.sampled_from([TRAIN, VALIDATION]),
    st.text("n0123456789_/JPEGvalISRC.\n\0", max_size=60) | st.from_regex(r"[nI].{0,30}_.{0,12}\.JPEG") | st.text(),
    st.integers(-1, 2),
)
def test_any_other_path_is_refused_or_gives_an_official_name(
    tables: LabelTables, split: str, path: str, label: int
) -> None:
    try:
        name = RowNames(split, tables).name_of(path, label)
    except ValueError:
        return
    assert re.fullmatch(r"n[0-9]{8}_[0-9]+\.JPEG|ILSVRC2012_val_[0-9]{8}\.JPEG", name)
    assert Path(path).name.startswith(name.removesuffix(".JPEG"))
