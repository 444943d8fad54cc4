import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from luigi_ilsvrc.archives import TRAIN
from tests.running import SHARDS, contents, luigi


@pytest.fixture
def source(ilsvrc: Path, tmp_path: Path) -> Path:
    """A copy of the miniature, to be changed."""
    return Path(shutil.copytree(ilsvrc, tmp_path / "source"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def the_error(output: str, beginning: str = "ERROR: ") -> str:
    """Return the one line that tells of an error, after making sure that there is no traceback."""
    assert "Traceback" not in output, output
    [error] = [line for line in output.splitlines() if line.startswith(beginning)]
    return error


@pytest.fixture
def without_tensorflow(tmp_path: Path) -> str:
    """A PYTHONPATH under which tensorflow is not to be found, as where it is not installed."""
    directory = tmp_path / "without"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class WithoutTensorFlow(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        if name != 'tensorflow': return super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorFlow\n"
    )
    return str(directory)


# Importing -----------------------------------------------------------------------------------------------------------


def imported_by(module: str) -> set[str]:
    program = f"import {module}, sys; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return {name.partition(".")[0] for name in output.split()}


def test_importing_the_package_imports_no_heavy_library_that_luigi_does_not() -> None:
    heavy = {"pandas", "numpy", "lxml", "requests", "tensorflow", "PIL", "tqdm"}
    assert imported_by("luigi_ilsvrc") & heavy <= imported_by("luigi")


# Parameters ----------------------------------------------------------------------------------------------------------


def test_the_ilsvrc_section_of_the_configuration_sets_parameters_of_all_tasks(
    ilsvrc: Path, data_dir: Path, tmp_path: Path
) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text(f"[ilsvrc]\ndata_dir = {data_dir}\nsource = {ilsvrc}\ntrain_shards = 4\ntfrecords = false\n")
    for task in ("BoundingBoxCSV", "BuildAll"):
        status, output = luigi(task, config=config)
        assert status == 0, output
    assert (data_dir / "bounding_boxes.csv").exists()
    assert not (data_dir / "ilsvrc2012" / "tfrecords").exists()


def test_the_command_line_wins_over_the_configuration(ilsvrc: Path, data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text(f"[ilsvrc]\ndata_dir = {tmp_path / 'other'}\nsource = {ilsvrc}\n")
    status, output = luigi("BoundingBoxCSV", "--data-dir", data_dir, config=config)
    assert status == 0, output
    assert (data_dir / "bounding_boxes.csv").exists()


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (("IndexTrain",), ["ilsvrc2012/index/train"]),
        (("SortValidation",), ["ilsvrc2012/validation_images"]),
        (("ExtractTrainPerSynset", "--synset", "n02105855"), ["ilsvrc2012/training_images/n02105855"]),
        (("PlanShards", "--split", "validation", "--num-shards", "4"), ["ilsvrc2012/index/validation-plan-of-00004"]),
        (
            ("TFRecordShard", "--split", "train", "--shard", "7", "--num-shards", "16"),
            ["ilsvrc2012/tfrecords/train-00007-of-00016"],
        ),
    ],
)
def test_each_task_runs_by_itself(ilsvrc: Path, data_dir: Path, task: tuple[str, ...], outputs: list[str]) -> None:
    status, output = luigi(*task, "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 0, output
    assert [name for name in outputs if not (data_dir / name).exists()] == []


def test_tables_given_by_hand_win_over_those_in_the_source_directory(
    ilsvrc: Path, data_dir: Path, tmp_path: Path
) -> None:
    english = tmp_path / "english.txt"
    english.write_text((ilsvrc / "synset_english_key.txt").read_text().replace("\t", "\tone "))
    plan = ("PlanShards", "--split", "validation", "--num-shards", "1")
    status, output = luigi(*plan, "--data-dir", data_dir, "--source", ilsvrc, "--synset-english-key", english)
    assert status == 0, output
    rows = (data_dir / "ilsvrc2012" / "index" / "validation-plan-of-00001" / "00000.csv").read_text().splitlines()[1:]
    assert all("one " in row for row in rows)


def test_without_tensorflow_everything_but_the_shards_is_built(
    ilsvrc: Path, data_dir: Path, without_tensorflow: str
) -> None:
    status, output = luigi(
        *("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, "--tfrecords", "false"), PYTHONPATH=without_tensorflow
    )
    assert status == 0, output
    assert (data_dir / "bounding_boxes.csv").exists()
    assert (data_dir / "ilsvrc2012" / "validation_images").is_dir()
    assert len(list((data_dir / "ilsvrc2012" / "training_images").iterdir())) == 5


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [("BuildAll",), ("TFRecords",)])
def test_without_tensorflow_shards_are_refused_before_anything_is_downloaded(
    ilsvrc: Path, data_dir: Path, without_tensorflow: str, root: tuple[str, ...]
) -> None:
    status, output = luigi(
        *(*root, "--data-dir", data_dir, "--source", ilsvrc), config=None, PYTHONPATH=without_tensorflow
    )
    assert status != 0
    error = the_error(output)
    assert "pip install 'luigi-ilsvrc[tfrecords]'" in error
    assert "--tfrecords false" in error
    assert not data_dir.exists()


def test_a_bad_table_is_refused_before_anything_is_downloaded(source: Path, data_dir: Path) -> None:
    with (source / "validation_synset_labels.txt").open("a") as table:
        table.write("tench\n")
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS)
    assert status == 40
    assert the_error(output).startswith(f"ERROR: {source}/validation_synset_labels.txt:26: 'tench' is not a synset")
    assert not data_dir.exists()


def test_a_damaged_archive_is_named_with_both_sums_and_leaves_nothing(source: Path, data_dir: Path) -> None:
    archive = source / TRAIN.name
    contents_ = bytearray(archive.read_bytes())
    contents_[1000] ^= 1
    archive.write_bytes(contents_)
    status, output = luigi("DownloadTrain", "--data-dir", data_dir, "--source", source)
    assert status == 30
    error = the_error(output)
    assert hashlib.md5(contents_).hexdigest() in error
    assert (source / "MD5SUMS").read_text().split()[0] in error
    assert contents(data_dir) == {"ilsvrc2012": "folder"}


def test_a_damaged_archive_without_checksums_is_found_by_its_headers(source: Path, data_dir: Path) -> None:
    archive = source / TRAIN.name
    archive.write_bytes(archive.read_bytes()[:-20_000])
    status, output = luigi("IndexTrain", "--data-dir", data_dir, "--source", source, "--checksums", "none")
    assert status == 30
    assert f"{data_dir}/ilsvrc2012/training_images.tar" in the_error(output)
    assert "is not verified" in output
    assert not (data_dir / "ilsvrc2012" / "index" / "train").exists()


def test_a_validation_table_of_another_length_is_named(source: Path, data_dir: Path) -> None:
    table = source / "validation_synset_labels.txt"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    status, output = luigi("SortValidation", "--data-dir", data_dir, "--source", source)
    assert status == 30
    assert f"{table}:24: the table has 24 lines, but" in the_error(output)


def test_a_checksum_file_without_the_archive_is_named(source: Path, data_dir: Path) -> None:
    (source / "MD5SUMS").write_text("00000000000000000000000000000000  other.tar\n")
    status, output = luigi("DownloadTrain", "--data-dir", data_dir, "--source", source)
    assert status == 30
    assert f"{source}/MD5SUMS: there is no line for {TRAIN.name}" in the_error(output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("TFRecords", "--train-shards", "0"), "0 is too small a count"),
        (("TFRecords", "--train-shards", "many"), "'many' is not a whole number"),
        (("BuildAll", "--tfrecords", "maybe"), "'maybe' is neither true nor false"),
        (("ExtractTrainPerSynset", "--synset", "../evil"), "'../evil' is not a synset such as n01440764"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(
    ilsvrc: Path, data_dir: Path, arguments: tuple[str, ...], message: str
) -> None:
    status, output = luigi(*arguments, "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 40
    assert message in the_error(output)


def test_an_account_in_the_source_is_refused_without_being_repeated(data_dir: Path) -> None:
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", "https://somebody:secret@example.org/x")
    assert status == 40
    assert "IMAGENET_USERNAME and IMAGENET_ACCESS_KEY" in the_error(output)
    assert "somebody" not in output
    assert "secret" not in output


def test_a_shard_that_does_not_exist_is_refused(ilsvrc: Path, data_dir: Path) -> None:
    shard = ("TFRecordShard", "--split", "train", "--shard", "8", "--num-shards", "8")
    status, output = luigi(*shard, "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 35
    assert "there is no shard 8 of 8: the first is 0" in output
    assert "Traceback" not in output
    assert not data_dir.exists()


def test_a_data_dir_that_cannot_be_written_is_named(ilsvrc: Path) -> None:
    status, output = luigi("DownloadBoundingBoxes", "--data-dir", "/proc/nowhere", "--source", ilsvrc)
    assert status == 30
    assert "/proc/nowhere" in the_error(output)


def test_credentials_of_the_environment_are_in_no_output(ilsvrc: Path, data_dir: Path) -> None:
    _, output = luigi(
        *("DownloadTrain", "--data-dir", data_dir, "--source", "http://127.0.0.1:9/x", "--attempts", "1"),
        IMAGENET_USERNAME="somebody-special",
        IMAGENET_ACCESS_KEY="very-secret-key",
    )
    assert "http://127.0.0.1:9/x" in the_error(output)
    assert "somebody-special" not in output
    assert "very-secret-key" not in output


def test_the_log_tells_of_each_attempt_of_a_download(ilsvrc: Path, data_dir: Path) -> None:
    _, output = luigi("DownloadTrain", "--data-dir", data_dir, "--source", "http://127.0.0.1:9", "--attempts", "2")
    assert "WARNING: http://127.0.0.1:9/ILSVRC2012_img_train.tar: " in output
    assert "attempt 2 of 2" in output
