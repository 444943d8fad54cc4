"""Builds that several workers share through one luigid."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luigi.rpc import RemoteScheduler

from tests.reliability.kill import differences, tables_and_checksums, wait_until
from tests.support import slow_tasks
from tests.support.running import LOG_TASKS, PROJECT, SHARDS, address, contents, http_server, luigi, luigid, start_luigi

pytestmark = pytest.mark.slow

OURS = PROJECT / "luigi.cfg"
ASSISTANT = Path(sys.executable).with_name("luigi-ilsvrc-assistant")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a luigid."""
    with luigid(tmp_path) as port:
        yield port


def start_main(port: int, data_dir: Path, source: object, *options: object, **more: object) -> subprocess.Popen[str]:
    given = ("--data-dir", data_dir, "--source", source, *SHARDS, *LOG_TASKS, *address(port), *options)
    return start_luigi("BuildAll", *given, **more)  # type: ignore[arg-type]


def start_assistant(port: int, *options: object, is_ready: bool = True, **environment: str) -> subprocess.Popen[str]:
    """Start an assistant, without any configuration of ours and without an account; wait until it asks for tasks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
    assistant = subprocess.Popen(
        [ASSISTANT, *map(str, (*address(port), "--workers", 2, *LOG_TASKS, *options))],
        env={**kept, **environment},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if is_ready:
        read_until(assistant, "waiting for tasks")
    return assistant


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Wait until a process has written a line with a text; return all that it has written."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it has ended: {said}")


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def release(assistant: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask an assistant to finish what it runs and to end: on a busy machine none is idle for a known time."""
    assistant.send_signal(signal.SIGUSR1)
    return end(assistant)


@pytest.fixture
def reversed_source(ilsvrc: Path, tmp_path: Path) -> Path:
    """The source with its tables of synsets and labels in reverse."""
    source = Path(shutil.copytree(ilsvrc, tmp_path / "reversed", copy_function=os.link))
    for name in ("unique_synsets.txt", "validation_synset_labels.txt"):
        lines = (source / name).read_text().splitlines(keepends=True)
        (source / name).unlink()
        (source / name).write_text("".join(reversed(lines)))
    return source


# What is built -------------------------------------------------------------------------------------------------------


def test_labels_that_were_only_scheduled_are_not_built_by_an_assistant(
    ilsvrc: Path, built: Path, tmp_path: Path, reversed_source: Path, port: int
) -> None:
    data_dir = tmp_path / "data"
    end(start_main(port, data_dir, reversed_source, "--workers", 0))
    main = start_main(port, data_dir, ilsvrc, "--workers", 0, "--worker-keep-alive")
    record = data_dir / "ilsvrc2012" / "index" / "build.json"
    assert wait_until(lambda: f'"{ilsvrc}"' in record.read_text(), 60)
    assistant = start_assistant(port)
    status, output = end(main)
    said = release(assistant)[1]
    assert status == 0, output + said
    assert "ran successfully" in said
    assert differences(data_dir, {**contents(built), **tables(data_dir)}) == []


def tables(data_dir: Path) -> dict[str, str]:
    """Return the copies of tables, of which those that were never used may be left."""
    return {path: md5 for path, md5 in contents(data_dir).items() if path.startswith("ilsvrc2012/index/tables/")}


def test_what_a_scheduler_kept_of_another_command_over_its_restart_is_not_built(
    ilsvrc: Path, built: Path, tmp_path: Path, reversed_source: Path
) -> None:
    data_dir = tmp_path / "data"
    with luigid(tmp_path) as port:
        end(start_main(port, data_dir, reversed_source, "--workers", 0))
    shutil.rmtree(data_dir)
    with luigid(tmp_path) as port:
        assistant = start_assistant(port)
        status, output = end(start_main(port, data_dir, ilsvrc, "--workers", 0, "--worker-keep-alive"))
        said = release(assistant)[1]
    assert status == 0, output + said
    assert differences(data_dir, contents(built)) == []


def test_a_task_of_a_build_that_no_command_has_begun_is_refused(ilsvrc: Path, tmp_path: Path) -> None:
    status, output = luigi("DownloadTrain", "--data-dir", tmp_path / "data", "--source", "recorded")
    assert status == 35, output
    assert "build.json does not exist" in output
    assert "Traceback" not in output


def test_a_signed_url_is_in_no_state_file_and_not_in_the_builds_record(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with luigid(tmp_path) as port:
        end(start_main(port, data_dir, "http://127.0.0.1:9/x?signature=very-secret", "--workers", 0))
    kept = [tmp_path / "luigid.pickle", *(path for path in data_dir.rglob("*") if path.is_file())]
    assert b"DownloadTrain" in kept[0].read_bytes()
    assert [path for path in kept if b"very-secret" in path.read_bytes()] == []


# Exit status ---------------------------------------------------------------------------------------------------------


def test_the_exit_status_is_0_if_an_assistant_has_run_tasks(
    ilsvrc: Path, built: Path, tmp_path: Path, port: int
) -> None:
    data_dir = tmp_path / "data"
    assistant = start_assistant(port)
    status, output = end(start_main(port, data_dir, ilsvrc, "--workers", 0, "--worker-keep-alive"))
    ended, said = release(assistant)
    assert (status, ended) == (0, 0), output + said
    assert "were run by other workers" in output
    assert "done      TFRecordShard" in said
    assert contents(data_dir) == contents(built)


def test_each_task_runs_once(ilsvrc: Path, tmp_path: Path, port: int) -> None:
    assistant = start_assistant(port)
    _, output = end(start_main(port, tmp_path / "data", ilsvrc, "--workers", 2))
    _, said = release(assistant)
    ran = [line.partition(" running   ")[2] for line in (output + said).splitlines() if " running   " in line]
    assert sorted(ran) == sorted(set(ran))


def test_a_failure_in_an_assistant_is_not_0_and_the_main_worker_says_why(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    status, output = luigi("IndexTrain", "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 0, output
    index = next(path for path in (data_dir / "ilsvrc2012" / "index" / "train").iterdir())
    index.write_text("damaged")
    # luigid reads it.
    (tmp_path / "luigi.cfg").write_text("[scheduler]\nretry_count = 1\n")
    with luigid(tmp_path) as port:
        assistant = start_assistant(port)
        status, output = end(start_main(port, data_dir, ilsvrc, "--workers", 0, "--worker-keep-alive"))
        release(assistant)
    assert status != 0
    beginning = "ERROR: PlanShards(split=train, num_shards=8): has failed on another worker: "
    [error] = [line for line in output.splitlines() if line.startswith(beginning)]
    assert str(index) in error


def test_a_wrong_command_takes_nothing_away_from_a_running_one(ilsvrc: Path, tmp_path: Path, port: int) -> None:
    (tmp_path / "labels.txt").write_text("no synset\n")
    (tmp_path / "theirs.py").write_text(
        "import luigi, luigi_ilsvrc\n"
        "class Pipe(luigi.Task):\n"
        "    data_dir, source = luigi.Parameter(), luigi.Parameter()\n"
        "    def requires(self):\n"
        "        return luigi_ilsvrc.BuildAll(\n"
        "            data_dir=self.data_dir, source=self.source, train_shards=8, validation_shards=3)\n"
        "    def run(self): self.output().open('w').close()\n"
        "    def output(self): return luigi.LocalTarget(self.data_dir + '/pipe')\n"
    )
    data_dir = tmp_path / "data"
    build = ("--data-dir", data_dir, "--source", ilsvrc)
    running = start_luigi(
        *("--module", "theirs", "Pipe", *build, *address(port), "--workers", 0, "--worker-keep-alive", *LOG_TASKS),
        PYTHONPATH=str(tmp_path),
    )
    read_until(running, "Done scheduling")
    wrong = ("--validation-synset-labels", tmp_path / "labels.txt")
    assert end(start_main(port, data_dir, ilsvrc, *wrong))[0] == 35
    assistant = start_assistant(port, PYTHONPATH=str(tmp_path))
    status, output = end(running)
    said = release(assistant)[1]
    assert status == 0, output + said
    assert (data_dir / "pipe").exists()


def test_a_run_without_retcode_says_that_failures_will_exit_with_0(ilsvrc: Path, tmp_path: Path) -> None:
    status, output = luigi("DownloadTrain", "--data-dir", tmp_path, "--source", tmp_path / "nothing", config=None)
    assert status == 0
    [line] = [line for line in output.splitlines() if "[retcode]" in line]
    assert "exits with 0" in line
    assert "luigi.cfg" in line


def test_a_run_with_retcode_says_nothing_of_it(ilsvrc: Path, tmp_path: Path) -> None:
    assert "[retcode]" not in luigi("DownloadTrain", "--data-dir", tmp_path, "--source", ilsvrc)[1]


# Workers that die ----------------------------------------------------------------------------------------------------


def test_a_build_that_was_killed_goes_on_at_once(ilsvrc: Path, built: Path, tmp_path: Path, port: int) -> None:
    data_dir = tmp_path / "data"
    first = start_main(port, data_dir, ilsvrc, "--workers", 2)
    read_until(first, "running   IndexTrain")
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start_main(port, data_dir, ilsvrc, "--workers", 2)
    # How long Python takes to start does not count.
    read_until(second, "Done scheduling")
    started = time.monotonic()
    status, output = end(second)
    assert status == 0, output
    # If nobody looked whether its process is there, the first worker would be lost after a minute of silence.
    assert time.monotonic() - started < 60
    assert contents(data_dir) == contents(built)


# Assistants ----------------------------------------------------------------------------------------------------------


def test_an_assistant_waits_for_luigid_and_for_the_main_worker_and_ends_by_itself(
    ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    with luigid(tmp_path) as port:
        pass
    assistant = start_assistant(port, "--idle-minutes", 0.5, is_ready=False)
    before = read_until(assistant, "does not answer: waiting for it")
    with luigid(tmp_path, port=port):
        status, output = end(start_main(port, tmp_path / "data", ilsvrc, "--workers", 0, "--worker-keep-alive"))
        ended, said = end(assistant)
    assert (status, ended) == (0, 0), output + said
    assert "does not answer" not in said, before
    assert contents(tmp_path / "data") == contents(built)


def test_an_assistant_ends_with_a_line_if_luigid_never_comes(tmp_path: Path) -> None:
    with luigid(tmp_path) as port:
        pass
    status, said = end(start_assistant(port, "--idle-minutes", 0.05, is_ready=False))
    assert status == 1
    assert said.splitlines()[-1].startswith("luigi-ilsvrc-assistant: the scheduler did not answer")


def test_two_assistants_of_one_host_share_the_work(ilsvrc: Path, built: Path, tmp_path: Path, port: int) -> None:
    assistants = [start_assistant(port) for _ in range(2)]
    # There are three downloads, and an assistant runs two tasks at once; one that is idle asks each second or two.
    with http_server(ilsvrc, delay=5) as url:
        given = ("--workers", 0, "--worker-keep-alive", *tables_and_checksums(ilsvrc))
        status, output = end(start_main(port, tmp_path / "data", url, *given))
    said = [release(assistant)[1] for assistant in assistants]
    assert status == 0, output
    assert all("ran successfully" in it for it in said), said
    assert contents(tmp_path / "data") == contents(built)


def test_an_assistant_gives_back_a_download_that_fails_there(
    ilsvrc: Path, built: Path, tmp_path: Path, port: int
) -> None:
    # The assistant does not see the folder: it is given by a path that only the main worker's process has.
    data_dir, hidden = tmp_path / "data", tmp_path / "hidden"
    hidden.symlink_to(ilsvrc)
    end(start_main(port, data_dir, hidden, "--workers", 0))
    hidden.unlink()
    assistant = start_assistant(port)
    said = read_until(assistant, "is given back")
    hidden.symlink_to(ilsvrc)
    status, output = end(start_main(port, data_dir, hidden))
    said += release(assistant)[1]
    assert "is given back" in said
    assert status == 0, output + said
    assert contents(data_dir) == contents(built)


# Resources -----------------------------------------------------------------------------------------------------------


def running_at_once(output: str, family: str) -> int:
    """Return how many tasks of families that begin so ran at once at most, by the order of the lines of one log."""
    most = now = 0
    for line in output.splitlines():
        now += (f" running   {family}" in line) - (f" done      {family}" in line)
        most = max(most, now)
    return most


@pytest.mark.parametrize(("resource", "family"), [("ilsvrc_shard", "TFRecordShard"), ("ilsvrc_download", "Download")])
def test_an_operator_bounds_how_many_tasks_of_a_kind_run_at_once(
    ilsvrc: Path, built: Path, tmp_path: Path, resource: str, family: str
) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text(f"{OURS.read_text().replace(f'{resource} = 1000000', f'{resource} = 1')}")
    status, output = luigi(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, *SHARDS, *LOG_TASKS, "--workers", 4),
        config=config,
    )
    assert status == 0, output
    assert running_at_once(output, family) == 1
    assert contents(tmp_path / "data") == contents(built)


def test_without_resources_in_luigis_configuration_nothing_is_bound(ilsvrc: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text("[retcode]\ntask_failed = 30\n")
    # Slow: a shard of the miniature takes less time than to start the process of the next one.
    status, output = luigi(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, *SHARDS, *LOG_TASKS, "--workers", 4),
        *slow_tasks.OPTION,
        config=config,
        PYTHONPATH=str(PROJECT),
    )
    assert status == 0, output
    assert running_at_once(output, "TFRecordShard") > 1


# Retries -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [1, 3])
def test_a_failed_task_is_given_out_again_until_it_is_disabled_as_the_operator_has_set_it(
    tmp_path: Path, retry_config: Callable[[str], Path], failures: int
) -> None:
    config = retry_config(f"retry_count = {failures}\nretry_delay = 1\n")
    status, output = luigi(
        *(
            "DownloadTrain",
            "--data-dir",
            tmp_path / "data",
            "--source",
            tmp_path / "nothing",
            *LOG_TASKS,
            "--worker-keep-alive",
        ),
        config=config,
    )
    assert status == 30, output
    assert output.count("running   DownloadTrain") == failures


@pytest.fixture
def retry_config(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration with settings of [scheduler]."""

    def write(settings: str) -> Path:
        config = tmp_path / "luigi.cfg"
        worker = "[worker]\nwait_interval = 0.2\nwait_jitter = 0\n"
        config.write_text(f"{worker}[scheduler]\n{settings}[retcode]\ntask_failed = 30\n")
        return config

    return write


def test_what_the_record_holds_is_the_newest_commands_source(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir, mirror = tmp_path / "data", tmp_path / "mirror"
    shutil.copytree(ilsvrc, mirror, copy_function=os.link)
    for source in (ilsvrc, mirror):
        status, output = luigi("BoundingBoxCSV", "--data-dir", data_dir, "--source", source)
        assert status == 0, output
        shutil.rmtree(data_dir / "ilsvrc2012" / "index" / "manifests")
        (data_dir / "bounding_boxes.csv").unlink()
    record = json.loads((data_dir / "ilsvrc2012" / "index" / "build.json").read_text())
    assert record["source"] == str(mirror)


# Commands of several tasks, and of tasks of other packages -----------------------------------------------------------


def run_python(program: str, *arguments: object) -> tuple[int, str]:
    """Run a program that uses Luigi from Python, with our luigi.cfg."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**kept, "LUIGI_CONFIG_PATH": str(OURS), "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        cwd="/",
    )
    return done.returncode, done.stdout


TASKS_OF_SOMEBODY = """
import sys
from pathlib import Path
import luigi
from luigi.worker import Worker
from luigi_ilsvrc import BuildAll, DownloadBoundingBoxes
data_dir, source = Path(sys.argv[1]), sys.argv[2]
build = dict(data_dir=data_dir, source=source, train_shards=2, validation_shards=1)
class Done(luigi.Task):
    def complete(self): return True
class Missing(luigi.ExternalTask):
    def output(self): return luigi.LocalTarget("/nowhere/file")
class Dynamic(luigi.Task):
    def run(self):
        yield BuildAll(**build)
        self.output().open("w").close()
    def output(self): return luigi.LocalTarget(str(data_dir / "dynamic"))
"""


def test_a_failure_is_not_hidden_by_another_task_of_the_command_that_is_complete(ilsvrc: Path, tmp_path: Path) -> None:
    program = f"{TASKS_OF_SOMEBODY}print(luigi.build([Done(), BuildAll(**build)], local_scheduler=True))"
    _, output = run_python(program, tmp_path / "data", tmp_path / "nothing")
    assert output.splitlines()[-1] == "False"


def test_an_external_task_that_is_missing_beside_a_build_ends_the_command(ilsvrc: Path, tmp_path: Path) -> None:
    program = f"{TASKS_OF_SOMEBODY}print(luigi.build([Missing(), BuildAll(**build)], local_scheduler=True))"
    _, output = run_python(program, tmp_path / "data", ilsvrc)
    assert "scheduled again" not in output
    assert (tmp_path / "data" / "bounding_boxes.csv").exists()


def test_an_external_task_that_is_missing_beside_a_build_is_no_success(ilsvrc: Path, tmp_path: Path, port: int) -> None:
    build = f"luigi.build([Missing(), BuildAll(**build)], scheduler_host='127.0.0.1', scheduler_port={port}, "
    program = f"{TASKS_OF_SOMEBODY}print({build}detailed_summary=True).status)"
    _, output = run_python(program, tmp_path / "data", ilsvrc)
    assert output.splitlines()[-1] == "LuigiStatusCode.MISSING_EXT", output


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_of_somebody_may_require_a_build_while_it_runs(ilsvrc: Path, tmp_path: Path, workers: int) -> None:
    program = f"{TASKS_OF_SOMEBODY}print(luigi.build([Dynamic()], local_scheduler=True, workers={workers}))"
    _, output = run_python(program, tmp_path / "data", ilsvrc)
    assert output.splitlines()[-1] == "True", output
    assert (tmp_path / "data" / "dynamic").exists()


def test_a_worker_of_somebody_takes_what_luigis_own_takes(ilsvrc: Path, tmp_path: Path) -> None:
    program = (
        f"{TASKS_OF_SOMEBODY}with Worker() as worker: print(worker.add(task=Done(), multiprocess=False), worker.run())"
    )
    _, output = run_python(program, tmp_path / "data", ilsvrc)
    assert output.splitlines()[-1] == "True True", output


def test_an_assistant_gives_back_a_task_whose_module_it_does_not_have(tmp_path: Path, port: int) -> None:
    scheduler: Any = RemoteScheduler(f"http://127.0.0.1:{port}")
    scheduler.add_task(worker="somebody", task_id="theirs", family="Theirs", module="no_such_module", params={})
    status, said = end(start_assistant(port, "--idle-minutes", 0.1))
    assert status == 0, said
    assert "theirs is given back" in said
    [found] = scheduler.task_search("theirs")
    assert found == "PENDING"


@pytest.mark.parametrize("given", [("--idle-minutes", "x"), ("--idle-minutes", "-1"), ("--local-scheduler",)])
def test_an_option_that_makes_no_sense_for_an_assistant_is_one_line(port: int, given: tuple[str, ...]) -> None:
    status, said = end(start_assistant(port, *given, is_ready=False))
    assert status == 1
    assert given[0] in said.splitlines()[-1]
    assert "Traceback" not in said


def test_damage_that_an_assistant_finds_is_repaired_and_ends_as_damage(data_dir: Path, ilsvrc: Path, port: int) -> None:
    (data_dir / "bounding_boxes.csv").write_text("damaged")
    assistant = start_assistant(port)
    common = ("--data-dir", data_dir, "--source", ilsvrc, *SHARDS, *address(port))
    statuses = [end(start_luigi("VerifyBuild", *common, *options))[0] for options in ((), ("--repair", "true"))]
    assert statuses == [30, 30]
    assert not (data_dir / "bounding_boxes.csv").exists()
    release(assistant)


def test_ctrl_c_ends_a_command_that_waits_for_luigid(ilsvrc: Path, tmp_path: Path) -> None:
    with luigid(tmp_path) as port:
        pass
    main = start_main(port, tmp_path / "data", ilsvrc)
    read_until(main, "waiting for it")
    main.send_signal(signal.SIGINT)
    main.communicate(timeout=60)
    assert main.returncode != 0
