"""What a data_dir was begun with: later runs continue with it, or are refused."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc import miniature
from luigi_ilsvrc.dataset.archives import ARCHIVES, TRAIN_ARCHIVE, VALIDATION_BOX_ARCHIVE
from tests.reliability.flip import build_contents
from tests.support.running import LOG_TASKS, SHARDS, contents, luigi, start_luigi, times

pytestmark = pytest.mark.slow

TABLES = ("unique_synsets.txt", "validation_synset_labels.txt", "synset_english_key.txt")


@pytest.fixture
def source(ilsvrc: Path, tmp_path: Path) -> Path:
    """A copy of the source, to be changed."""
    return Path(shutil.copytree(ilsvrc, tmp_path / "source", copy_function=os.link))


@pytest.fixture(scope="module")
def other_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source that delivers other archives."""
    directory = tmp_path_factory.mktemp("other")
    miniature.write(directory, synsets=5, train_images=80, validation_images=25, xml_files=30, tiny=True, seed=99)
    return directory


def build(data_dir: Path, source: Path, *options: object) -> tuple[int, str]:
    return luigi("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, *options)


def correct(table: Path) -> None:
    """Swap the first two lines of a label table; of the English words, change one."""
    first, second, *rest = table.read_text().splitlines(keepends=True)
    changed = [f"{first.rstrip()}, corrected\n", second] if "english" in table.name else [second, first]
    table.unlink()
    table.write_text("".join([*changed, *rest]))


def the_error(output: str) -> str:
    *_, error = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    assert "Traceback" not in output
    return error


# Written -------------------------------------------------------------------------------------------------------------


def test_any_task_that_runs_first_writes_down_what_the_build_is_begun_with(ilsvrc: Path, tmp_path: Path) -> None:
    status, output = luigi("DownloadTrain", "--data-dir", tmp_path, "--source", ilsvrc)
    assert status == 0, output
    index = tmp_path / "ilsvrc2012" / "index"
    record = json.loads((index / "build.json").read_text())
    digests = {name: hashlib.sha256((ilsvrc / name).read_bytes()).hexdigest() for name in TABLES}
    sums = {archive.name: hashlib.md5((ilsvrc / archive.name).read_bytes()).hexdigest() for archive in ARCHIVES}
    assert record["tables"] == digests
    assert record["archives"] == {**sums, VALIDATION_BOX_ARCHIVE.name: None}
    assert record["source"] == str(ilsvrc)
    assert (index / "tables" / "build.json").read_bytes() == (index / "build.json").read_bytes()
    copies = {path.read_bytes() for path in (index / "tables").glob("*.txt")}
    assert copies == {(ilsvrc / name).read_bytes() for name in TABLES}


def test_of_two_that_begin_at_once_with_other_tables_one_is_refused_and_nothing_is_mixed(
    ilsvrc: Path, built: Path, source: Path, tmp_path: Path
) -> None:
    correct(source / "synset_english_key.txt")
    data_dir = tmp_path / "data"
    builds = [
        start_luigi("BuildAll", "--data-dir", data_dir, "--source", it, *SHARDS, "--local-scheduler", "--no-lock")
        for it in (ilsvrc, source)
    ]
    outputs = [it.communicate(timeout=120)[0] for it in builds]
    statuses = [it.returncode for it in builds]
    assert statuses.count(0) == 1, outputs
    winner = (ilsvrc, source)[statuses.index(0)]
    undisturbed = tmp_path / "undisturbed"
    assert build(undisturbed, winner)[0] == 0
    # Of the table that lost, a copy may have been written.
    tables = "ilsvrc2012/index/tables"
    found = {path: md5 for path, md5 in contents(data_dir).items() if not path.startswith(tables)}
    assert found == {path: md5 for path, md5 in contents(undisturbed).items() if not path.startswith(tables)}


# Compared ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["BuildAll", "VerifyBuild"])
@pytest.mark.parametrize("table", TABLES)
def test_tables_that_were_corrected_between_two_runs_are_refused_with_a_line_that_names_the_table(
    data_dir: Path, source: Path, table: str, task: str
) -> None:
    correct(source / table)
    before = times(data_dir)
    status, output = luigi(task, "--data-dir", data_dir, "--source", source, *SHARDS)
    assert status == 35, output
    assert str(source / table) in the_error(output)
    assert times(data_dir) == before


@pytest.mark.parametrize("table", TABLES)
def test_no_single_task_mixes_other_tables_in(data_dir: Path, source: Path, table: str) -> None:
    shard = data_dir / "ilsvrc2012" / "tfrecords" / "train-00003-of-00008"
    shard.unlink()
    correct(source / table)
    status, output = luigi(
        *("TFRecordShard", "--split", "train", "--shard", "3", "--num-shards", "8"),
        *("--data-dir", data_dir, "--source", source),
    )
    assert status == 35, output
    assert str(source / table) in output
    assert not shard.exists()


def test_the_md5_sums_of_another_source_are_refused(data_dir: Path, ilsvrc: Path, other_source: Path) -> None:
    tables = [word for name in TABLES for word in (f"--{name.removesuffix('.txt').replace('_', '-')}", ilsvrc / name)]
    before = times(data_dir)
    status, output = build(data_dir, other_source, *tables)
    assert status == 35, output
    assert any(archive.name in the_error(output) for archive in ARCHIVES)
    assert times(data_dir) == before


def test_other_checksums_are_refused(data_dir: Path, ilsvrc: Path, tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    sums.write_text("".join(f"{'0' * 32}  {archive.name}\n" for archive in ARCHIVES))
    before = times(data_dir)
    status, output = build(data_dir, ilsvrc, "--checksums", sums)
    assert status == 35, output
    assert TRAIN_ARCHIVE.name in the_error(output)
    assert times(data_dir) == before


def test_an_archive_that_is_brought_again_has_to_be_the_same_also_without_checksums(
    ilsvrc: Path, other_source: Path, tmp_path: Path
) -> None:
    tables = [word for name in TABLES for word in (f"--{name.removesuffix('.txt').replace('_', '-')}", ilsvrc / name)]
    data_dir = tmp_path / "data"
    status, output = build(data_dir, ilsvrc, "--checksums", "none")
    assert status == 0, output
    dataset = data_dir / "ilsvrc2012"
    (dataset / TRAIN_ARCHIVE.local_name).unlink()
    shutil.rmtree(next((dataset / "training_images").iterdir()))
    status, output = build(data_dir, other_source, "--checksums", "none", *tables)
    assert status == 30, output
    delivered, wanted = (
        hashlib.md5((it / TRAIN_ARCHIVE.name).read_bytes()).hexdigest() for it in (other_source, ilsvrc)
    )
    assert [line for line in output.splitlines() if delivered in line and wanted in line], output
    assert not (dataset / TRAIN_ARCHIVE.local_name).exists()


def test_the_md5_sum_of_an_archive_that_never_came_may_be_corrected(source: Path, built: Path, tmp_path: Path) -> None:
    sums = source / "MD5SUMS"
    right = sums.read_text()
    sums.unlink()
    sums.write_text(
        "".join(
            f"{'0' * 32}  {name}\n" if name == TRAIN_ARCHIVE.name else f"{md5}  {name}\n"
            for md5, name in map(str.split, right.splitlines())
        )
    )
    data_dir = tmp_path / "data"
    assert luigi("IndexValidation", "--data-dir", data_dir, "--source", source)[0] == 0
    sums.write_text(right)
    # One process, in which the tasks have read the record before it is corrected.
    status, output = build(data_dir, source)
    assert status == 0, output
    assert build_contents(data_dir) == build_contents(built)


def test_where_the_source_lies_may_change(data_dir: Path, built: Path, source: Path) -> None:
    (data_dir / "ilsvrc2012" / TRAIN_ARCHIVE.local_name).unlink()
    shutil.rmtree(next((data_dir / "ilsvrc2012" / "training_images").iterdir()))
    status, output = build(data_dir, source)
    assert status == 0, output
    assert build_contents(data_dir) == build_contents(built)


# Continued -----------------------------------------------------------------------------------------------------------


def test_other_shard_counts_without_the_source_take_the_tables_that_the_build_was_begun_with(
    data_dir: Path, ilsvrc: Path, tmp_path: Path
) -> None:
    counts = ("--train-shards", "4", "--validation-shards", "2")
    status, output = luigi("BuildAll", "--data-dir", data_dir, *counts)
    assert status == 0, output
    undisturbed = tmp_path / "undisturbed"
    status, output = luigi("BuildAll", "--data-dir", undisturbed, "--source", ilsvrc, *counts)
    assert status == 0, output
    shards = contents(data_dir / "ilsvrc2012" / "tfrecords")
    expected = contents(undisturbed / "ilsvrc2012" / "tfrecords")
    assert {name: shards[name] for name in expected} == expected


def test_a_finished_build_verifies_without_its_source(data_dir: Path) -> None:
    status, output = luigi("VerifyBuild", "--data-dir", data_dir, *SHARDS)
    assert status == 0, output


def test_a_table_that_a_host_does_not_see_is_that_of_the_record(data_dir: Path, built: Path, ilsvrc: Path) -> None:
    shard = data_dir / "ilsvrc2012" / "tfrecords" / "train-00003-of-00008"
    shard.unlink()
    shutil.rmtree(data_dir / "ilsvrc2012" / "index" / "train-plan-of-00008")
    gone = ("--synset-english-key", "/nowhere/words.txt", "--unique-synsets", "/nowhere/synsets.txt")
    status, output = build(data_dir, ilsvrc, *gone)
    assert status == 0, output
    assert build_contents(data_dir) == build_contents(built)


# Archives that somebody has put there --------------------------------------------------------------------------------


@pytest.fixture
def put(ilsvrc: Path, tmp_path: Path) -> Path:
    """A copy of the training archive under its local name, in a folder without a build."""
    archive = tmp_path / "data" / "ilsvrc2012" / TRAIN_ARCHIVE.local_name
    archive.parent.mkdir(parents=True)
    shutil.copy(ilsvrc / TRAIN_ARCHIVE.name, archive)
    return archive


def test_an_archive_put_by_hand_is_verified_once_and_then_remembered(put: Path, ilsvrc: Path) -> None:
    data_dir, inode = put.parents[1], put.stat().st_ino
    status, output = luigi("IndexTrain", "--data-dir", data_dir, "--source", ilsvrc, *LOG_TASKS)
    assert (status, output.count("running   DownloadTrain")) == (0, 1), output
    assert put.stat().st_ino == inode
    remembered = json.loads((put.parent / "index" / "manifests" / f"{put.name}.json").read_text())
    assert remembered["md5"] == hashlib.md5(put.read_bytes()).hexdigest()
    status, output = build(data_dir, ilsvrc, *LOG_TASKS)
    assert (status, output.count("running   DownloadTrain")) == (0, 0), output


@pytest.mark.parametrize("task", ["IndexTrain", "BuildAll"])
def test_a_wrong_archive_put_by_hand_is_refused_and_nothing_is_made_from_it(
    put: Path, ilsvrc: Path, other_source: Path, task: str
) -> None:
    shutil.copy(other_source / TRAIN_ARCHIVE.name, put)
    wrong = hashlib.md5(put.read_bytes()).hexdigest()
    status, output = luigi(task, "--data-dir", put.parents[1], "--source", ilsvrc)
    assert status == 30, output
    assert [line for line in output.splitlines() if str(put) in line and wrong in line], output
    assert hashlib.md5(put.read_bytes()).hexdigest() == wrong
    assert not (put.parent / "index" / "train").exists()
    assert not (put.parent / "training_images").exists()


def test_an_archive_that_was_replaced_after_it_was_verified_is_verified_again(
    put: Path, ilsvrc: Path, other_source: Path
) -> None:
    data_dir = put.parents[1]
    assert luigi("DownloadTrain", "--data-dir", data_dir, "--source", ilsvrc)[0] == 0
    shutil.copy(other_source / TRAIN_ARCHIVE.name, put)
    status, output = build(data_dir, ilsvrc)
    assert status == 30, output
    assert not (put.parent / "training_images").exists()


def test_an_archive_that_was_replaced_after_the_index_was_made_is_verified_before_anything_is_cut_from_it(
    put: Path, ilsvrc: Path, other_source: Path
) -> None:
    data_dir = put.parents[1]
    assert luigi("IndexTrain", "--data-dir", data_dir, "--source", ilsvrc)[0] == 0
    shutil.copy(other_source / TRAIN_ARCHIVE.name, put)
    status, output = luigi("ExtractTrainPerSynset", "--synset", "n02105855", "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 30, output
    assert not (put.parent / "training_images" / "n02105855").exists()
