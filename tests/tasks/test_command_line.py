import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import luigi_ilsvrc
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.tasks.parameters import ParameterError, option
from tests.support.running import SHARDS, contents, luigi


@pytest.fixture
def source(ilsvrc: Path, tmp_path: Path) -> Path:
    """A copy of the miniature, to be changed."""
    return Path(shutil.copytree(ilsvrc, tmp_path / "source"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def the_error(output: str, beginning: str = "ERROR: ") -> str:
    """Return the last line that tells of an error, after making sure that there is no traceback."""
    assert "Traceback" not in output, output
    *_, error = [line for line in output.splitlines() if line.startswith(beginning)]
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
    config.write_text(f"[ilsvrc]\ndata_dir = {data_dir}\nsource = {ilsvrc}\ntrain_shards = 4\nformats = none\n")
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


@pytest.mark.slow
def test_without_tensorflow_everything_is_built_and_verified(
    ilsvrc: Path, data_dir: Path, built: Path, without_tensorflow: str
) -> None:
    for task in ("BuildAll", "VerifyBuild"):
        status, output = luigi(
            *(task, "--data-dir", data_dir, "--source", ilsvrc, *SHARDS), PYTHONPATH=without_tensorflow
        )
        assert status == 0, output
    shutil.rmtree(data_dir / "ilsvrc2012" / "verification")
    assert contents(data_dir) == contents(built)


@pytest.mark.slow
def test_a_build_without_formats_has_all_but_the_records(ilsvrc: Path, built_without_shards: Path) -> None:
    assert (built_without_shards / "bounding_boxes.csv").exists()
    assert (built_without_shards / "ilsvrc2012" / "validation_images").is_dir()
    assert len(list((built_without_shards / "ilsvrc2012" / "training_images").iterdir())) == 5
    assert not (built_without_shards / "ilsvrc2012" / "tfrecords").exists()


# Errors --------------------------------------------------------------------------------------------------------------


def test_a_bad_table_is_refused_before_anything_is_downloaded(source: Path, data_dir: Path) -> None:
    with (source / "validation_synset_labels.txt").open("a") as table:
        table.write("tench\n")
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS)
    assert status == 35
    assert the_error(output).startswith(
        f"ERROR: BuildAll: {source}/validation_synset_labels.txt:26: 'tench' is not a synset"
    )
    assert not data_dir.exists()


def test_a_damaged_archive_is_named_with_both_sums_and_leaves_nothing(source: Path, data_dir: Path) -> None:
    archive = source / TRAIN_ARCHIVE.name
    contents_ = bytearray(archive.read_bytes())
    contents_[1000] ^= 1
    archive.write_bytes(contents_)
    status, output = luigi("DownloadTrain", "--data-dir", data_dir, "--source", source)
    assert status == 30
    error = the_error(output)
    assert hashlib.md5(contents_).hexdigest() in error
    assert (source / "MD5SUMS").read_text().split()[0] in error
    # But for what the build was begun with.
    left = {path for path in contents(data_dir) if not path.startswith("ilsvrc2012/index")}
    assert left == {"ilsvrc2012"}


def test_a_damaged_archive_without_checksums_is_found_by_its_headers(source: Path, data_dir: Path) -> None:
    archive = source / TRAIN_ARCHIVE.name
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
    assert f"{source}/MD5SUMS: there is no line for {TRAIN_ARCHIVE.name}" in the_error(output)


@pytest.mark.parametrize("task", ["BuildAll", "DownloadTrain"])
def test_cookies_that_cannot_be_read_are_refused_before_anything_is_scheduled(
    ilsvrc: Path, data_dir: Path, tmp_path: Path, task: str
) -> None:
    cookies = tmp_path / "cookies.txt"
    options = (task, "--data-dir", data_dir, "--source", ilsvrc, "--cookies", cookies)
    status, output = luigi(*options)
    assert status == 35
    assert the_error(output).startswith(f"ERROR: {task}: {cookies}: No such file or directory; ")
    cookies.write_text("# cookies\nexample.org FALSE / FALSE 0 session s3cret\n")
    status, output = luigi(*options)
    assert status == 35
    assert the_error(output).startswith(f"ERROR: {task}: {cookies}, line 2: not a cookie; ")
    assert "s3cret" not in output
    assert not data_dir.exists()


def test_a_complete_build_does_not_need_its_cookies_any_more(built: Path, tmp_path: Path, ilsvrc: Path) -> None:
    cookies = ("--cookies", tmp_path / "deleted.txt")
    status, output = luigi("BuildAll", "--data-dir", built, "--source", ilsvrc, *SHARDS, *cookies)
    assert status == 0, output


NONSENSE = [
    ("TFRecords", "train_shards", "0"),
    ("TFRecords", "train_shards", "many"),
    ("BuildAll", "validation_shards", "1000000"),
    ("BuildAll", "formats", "arrow"),
    ("BuildAll", "formats", "none,tfrecord"),
    ("BuildAll", "source", "ftp://example.org/x"),
    ("BuildAll", "source", "http://[example.org"),
    ("BuildAll", "checksums", "https://example.org/MD5SUMS"),
    ("BuildAll", "unique_synsets", "https://example.org/x"),
    ("BuildAll", "connections", "0"),
    ("DownloadTrain", "attempts", "0"),
    ("DownloadTrain", "attempts", "often"),
    ("DownloadTrain", "timeout", "-1"),
    ("DownloadTrain", "timeout", "nan"),
    ("DownloadTrain", "timeout", "soon"),
    ("ExtractTrainPerSynset", "synset", "../evil"),
    ("PlanShards", "split", "test"),
    ("PlanShards", "num_shards", "-8"),
    ("TFRecordShard", "shard", "-1"),
    ("VerifyBuild", "date", "2026-13-01"),
    ("VerifyBuild", "repair", "maybe"),
    ("VerifyShard", "format", "arrow"),
]
REQUIRED = {"split": "train", "num_shards": "8", "shard": "0", "synset": "n02105855", "format": "tfrecord"}
NEEDED = {
    "PlanShards": ("split", "num_shards"),
    "TFRecordShard": ("split", "num_shards", "shard"),
    "VerifyShard": ("split", "num_shards", "shard", "format"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name", "value"), NONSENSE)
def test_a_value_that_makes_no_sense_is_refused_by_a_line_that_names_the_option(
    task: str, name: str, value: str
) -> None:
    given = {**{name: REQUIRED[name] for name in NEEDED.get(task, ())}, name: value}
    options = [word for name, value in given.items() for word in (option(name), value)]
    status, output = luigi(task, *options)
    assert status == 40
    error = the_error(output)
    assert error.startswith(f"ERROR: {option(name)}: ")
    assert value in error or "URL" in error


@pytest.mark.parametrize(("task", "name", "value"), NONSENSE)
def test_the_same_is_refused_by_python(task: str, name: str, value: str) -> None:
    given = {**{name: REQUIRED[name] for name in NEEDED.get(task, ())}, name: value}
    with pytest.raises(ParameterError, match=f"^{option(name)}: "):
        getattr(luigi_ilsvrc, task).from_str_params(given)


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("BuildAll", "train_shards", "16"),
        ("BuildAll", "train_shards", 2.5),
        ("BuildAll", "train_shards", True),
        ("BuildAll", "formats", ("arrow",)),
        ("BuildAll", "data_dir", 5),
        ("BuildAll", "source", None),
        ("BuildAll", "checksums", None),
        ("DownloadTrain", "timeout", "60"),
        ("VerifyBuild", "repair", "maybe"),
        ("VerifyBuild", "date", "2026-11-22"),
    ],
)
def test_python_refuses_a_value_of_another_type(task: str, name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=f"^{option(name)}: "):
        getattr(luigi_ilsvrc, task)(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train_shards", "many"),
        ("formats", "arrow"),
        ("source", "ftp://example.org/x"),
        ("connections", "0"),
        ("checksums", "https://example.org/MD5SUMS"),
    ],
)
def test_the_same_is_refused_in_the_configuration(data_dir: Path, tmp_path: Path, name: str, value: str) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text(f"[ilsvrc]\n{name} = {value}\n[retcode]\nunhandled_exception = 40\n")
    status, output = luigi("BuildAll", "--data-dir", data_dir, config=config)
    assert status == 40
    assert the_error(output).startswith(f"ERROR: {option(name)}: ")


@pytest.mark.parametrize("missing", NEEDED["TFRecordShard"])
def test_a_missing_option_is_named(data_dir: Path, missing: str) -> None:
    given = [word for name in NEEDED["TFRecordShard"] if name != missing for word in (option(name), REQUIRED[name])]
    status, output = luigi("TFRecordShard", *given, "--data-dir", data_dir)
    assert status == 40
    assert the_error(output).startswith(f"ERROR: {option(missing)}: TFRecordShard ")


def test_a_setting_that_does_not_exist_is_refused(data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text("[ilsvrc]\ntfrecords = false\n")
    _, output = luigi("BuildAll", "--data-dir", data_dir, config=config)
    error = the_error(output)
    assert "[ilsvrc] tfrecords" in error
    assert "formats" in error


def test_a_synset_that_is_not_in_the_table_is_refused_before_anything_is_built(ilsvrc: Path, data_dir: Path) -> None:
    task = ("ExtractTrainPerSynset", "--synset", "n99999999")
    status, output = luigi(*task, "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 35
    reason = f"--synset: n99999999 is not in the table {ilsvrc}/unique_synsets.txt"
    assert the_error(output) == f"ERROR: ExtractTrainPerSynset(synset=n99999999): {reason}"
    assert not data_dir.exists()


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
    assert the_error(output).startswith(
        "ERROR: TFRecordShard(split=train, num_shards=8, shard=8): --shard: there is no shard 8 of 8"
    )
    assert not data_dir.exists()


def test_a_data_dir_that_cannot_be_written_is_named(ilsvrc: Path) -> None:
    status, output = luigi("DownloadBoundingBoxes", "--data-dir", "/proc/nowhere", "--source", ilsvrc)
    assert status == 35
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
