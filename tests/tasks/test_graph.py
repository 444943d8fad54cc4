from pathlib import Path

import pytest
from luigi.scheduler import Scheduler
from luigi.task import flatten
from luigi.worker import Worker

import luigi_ilsvrc
from luigi_ilsvrc import BuildAll, DownloadTrain, ExtractTrainPerSynset, IndexTrain, PlanShards, TFRecordShard


@pytest.fixture
def build(ilsvrc: Path, tmp_path: Path) -> BuildAll:
    return BuildAll(data_dir=tmp_path, source=str(ilsvrc), train_shards=4, validation_shards=2)


def requirements(task: luigi_ilsvrc.BuildAll) -> list[object]:
    return flatten(task.requires())


def all_tasks(root: BuildAll) -> list[object]:
    found: dict[str, object] = {}
    waiting: list[object] = [root]
    while waiting:
        task = waiting.pop()
        if task.task_id not in found:  # type: ignore[attr-defined]
            found[task.task_id] = task  # type: ignore[attr-defined]
            waiting += requirements(task)  # type: ignore[arg-type]
    return list(found.values())


def test_the_graph_has_one_task_for_each_synset_shard_and_archive(build: BuildAll) -> None:
    families = sorted(type(task).__name__ for task in all_tasks(build))
    assert families == sorted(
        [
            "BuildAll",
            "BuildReport",
            "TrainImages",
            "SortValidation",
            "ExtractBoundingBoxes",
            "BoundingBoxCSV",
            "TFRecords",
        ]
        + ["IndexTrain", "IndexValidation", "DownloadTrain", "DownloadValidation", "DownloadBoundingBoxes"]
        + ["ExtractTrainAhead", "ClassTable", "LabelTableFiles"]
        + ["ExtractTrainPerSynset"] * 5
        + ["PlanShards"] * 2
        + ["TFRecordShard"] * 6
        + ["TFRecordIndex"] * 2
        + ["TFRecordMetadata"]
    )


def test_a_shard_requires_its_plan_alone(build: BuildAll) -> None:
    shard = build.clone(TFRecordShard, split="train", shard=0, num_shards=4)
    assert requirements(shard) == [build.clone(PlanShards, split="train", num_shards=4)]


def test_a_synset_requires_the_index_alone(build: BuildAll) -> None:
    assert requirements(build.clone(ExtractTrainPerSynset, synset="n02105855")) == [build.clone(IndexTrain)]


def test_the_training_download_comes_first(build: BuildAll) -> None:
    highest = max(all_tasks(build), key=lambda task: task.priority)  # type: ignore[attr-defined]
    assert isinstance(highest, DownloadTrain)


def test_builds_in_two_folders_have_no_task_in_common(build: BuildAll, tmp_path: Path) -> None:
    other = BuildAll(data_dir=tmp_path / "other", source=build.source, train_shards=4, validation_shards=2)
    ids = [{task.task_id for task in all_tasks(root)} for root in (build, other)]  # type: ignore[attr-defined]
    assert ids[0] & ids[1] == set()


def test_the_data_dir_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert IndexTrain().data_dir == tmp_path / "below"
    assert IndexTrain(data_dir=Path("../data")).data_dir == tmp_path / "data"


def test_a_file_url_is_the_folder(ilsvrc: Path, tmp_path: Path) -> None:
    assert IndexTrain(data_dir=tmp_path, source=f"file://{ilsvrc}").source == str(ilsvrc)


def test_where_the_archives_come_from_is_not_part_of_a_tasks_identity(tmp_path: Path) -> None:
    one = IndexTrain(data_dir=tmp_path, source="https://one.example/x", checksums="none")
    other = IndexTrain(data_dir=tmp_path, source=str(tmp_path), unique_synsets=str(tmp_path / "table.txt"))
    assert one.task_id == other.task_id


def test_on_another_host_a_task_takes_source_and_tables_from_the_builds_record(build: BuildAll, ilsvrc: Path) -> None:
    index = build.clone(IndexTrain)
    index.begin_build(is_command=True)
    loaded = IndexTrain.from_str_params(index.params_of_scheduler(index.to_str_params()))
    assert loaded.data_dir == build.data_dir
    assert loaded.origin == build.source
    assert [path.read_bytes() for path in loaded.table_paths.values()] == [
        (ilsvrc / name).read_bytes() for name in loaded.table_paths
    ]
    assert loaded.clone(DownloadTrain).md5() == build.clone(DownloadTrain).md5()


def test_the_scheduler_gets_no_source_and_no_table(build: BuildAll, ilsvrc: Path) -> None:
    scheduler = Scheduler()
    Worker(scheduler=scheduler).add(build)
    sent = [task.params for task in scheduler._state.get_active_tasks()]
    assert len(sent) > 20
    assert not [value for params in sent for value in params.values() if str(ilsvrc) in value]


def test_the_web_view_shows_what_tells_tasks_apart_and_nothing_else(build: BuildAll) -> None:
    for task in all_tasks(build):
        assert task.to_str_params(only_public=True) == task.to_str_params(only_significant=True)  # type: ignore[attr-defined]


def test_no_task_has_a_parameter_for_credentials(build: BuildAll) -> None:
    names = {name for task in all_tasks(build) for name in task.to_str_params()}  # type: ignore[attr-defined]
    assert not {name for name in names if "user" in name or "key" in name.replace("english_key", "")}
