"""A build by several hosts: the main worker on one, an assistant on another, the scheduler on a third.

What a host has made is not seen by the others for some seconds, as on NFS; locks hold on one host only; and the network
and the scheduler may fail.
"""

import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.kill import differences, leftovers, tables_and_checksums, wait_until
from tests.support.account_server import ACCESS_KEY, USERNAME
from tests.support.cluster import Cluster, cluster, longest_idle, tasks_run, unfinished, wait_for_port
from tests.support.hosts import Program
from tests.support.running import contents

pytestmark = pytest.mark.slow

_STALE = 1.0
"""Seconds that a host may not see what another one has made."""
_IDLE_MINUTES = 0.5
"""After which an assistant of these tests ends."""
_LONGEST_BUILD = 300.0
"""Seconds, of this miniature and two hosts, whatever happens."""
_ENDS_BY_ITSELF = _IDLE_MINUTES * 60 + 120

_LEAVE = """
import sys; from pathlib import Path; from tests.support.abandoned import left_by_a_dead_process
left_by_a_dead_process(Path(sys.argv[1]))
"""


@pytest.fixture
def hosts(ilsvrc: Path, tmp_path: Path) -> Iterator[Cluster]:
    """Three hosts; nothing runs on them."""
    with cluster(tmp_path, ilsvrc, _STALE) as made:
        yield made


def is_clear(output: str) -> bool:
    return "ERROR" in output and "Traceback" not in output


def wait_for_work(*assistants: Program) -> None:
    """Wait until assistants ask the scheduler for tasks, so that they get some of a short build."""
    assert wait_until(lambda: all("Running Worker" in assistant.said() for assistant in assistants), 120)


def wait_for_tasks(program: Program, count: int) -> None:
    """Wait until a worker has begun to run so many tasks."""
    assert wait_until(lambda: len(tasks_run(program)) >= count or not program.is_running(), 120), program.said()
    assert program.is_running(), program.said()


def check_built(hosts: Cluster, built: Path) -> None:
    assert differences(hosts.built, contents(built)) == [], hosts.said()


def check_once(*programs: Program) -> None:
    """Each task was run by one worker, once."""
    twice = {task: count for task, count in Counter(tasks_run(*programs)).items() if count > 1}
    assert twice == {}, "\n\n".join(program.said() for program in programs)


def finish(hosts: Cluster, main: Program) -> None:
    """Wait for the build; if it has ended with a clear line, the same command again is good."""
    status = main.wait(_LONGEST_BUILD)
    if status:
        assert is_clear(main.said()), main.said()
        again = hosts.start_main()
        assert again.wait(_LONGEST_BUILD) == 0, again.said()


def test_two_hosts_share_the_tasks_of_a_build(hosts: Cluster, built: Path) -> None:
    hosts.start_luigid()
    assistant = hosts.start_assistant(_IDLE_MINUTES)
    wait_for_work(assistant)
    main = hosts.start_main()
    assert main.wait(_LONGEST_BUILD) == 0, main.said()
    assert assistant.wait(_ENDS_BY_ITSELF) == 0, assistant.said()
    check_built(hosts, built)
    check_once(main, assistant)
    assert tasks_run(main), main.said()
    assert tasks_run(assistant), assistant.said()
    assert leftovers(hosts.built) == []


def test_an_assistant_that_starts_before_luigid_waits_for_it(hosts: Cluster, built: Path) -> None:
    assistant = hosts.start_assistant(_IDLE_MINUTES)
    assert wait_until(lambda: "does not answer: waiting for it" in assistant.said(), 120), assistant.said()
    assert assistant.is_running(), assistant.said()
    assert "Traceback" not in assistant.said(), assistant.said()
    hosts.start_luigid()
    wait_for_work(assistant)
    main = hosts.start_main()
    assert main.wait(_LONGEST_BUILD) == 0, main.said()
    assert assistant.wait(_ENDS_BY_ITSELF) == 0, assistant.said()
    assert tasks_run(assistant), assistant.said()
    check_built(hosts, built)


def test_two_assistants_run_on_one_host(hosts: Cluster, built: Path) -> None:
    hosts.start_luigid()
    assistants = [hosts.start_assistant(_IDLE_MINUTES) for _ in range(2)]
    wait_for_work(*assistants)
    main = hosts.start_main()
    assert main.wait(_LONGEST_BUILD) == 0, main.said()
    for assistant in assistants:
        assert assistant.wait(_ENDS_BY_ITSELF) == 0, assistant.said()
    assert tasks_run(*assistants), hosts.said()
    check_built(hosts, built)
    check_once(main, *assistants)


def test_an_assistant_needs_neither_a_configuration_nor_an_account(
    hosts: Cluster, ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    port = 8000
    server = hosts.scheduler.start("python3", "-m", "tests.support.account_server", ilsvrc, port)
    wait_for_port(server, port)
    hosts.source = f"http://{hosts.scheduler.address}:{port}"
    hosts.start_luigid()
    assistant = hosts.start_assistant(_IDLE_MINUTES, config=None)
    wait_for_work(assistant)
    main = hosts.start_main(*tables_and_checksums(ilsvrc), IMAGENET_USERNAME=USERNAME, IMAGENET_ACCESS_KEY=ACCESS_KEY)
    assert main.wait(_LONGEST_BUILD) == 0, hosts.said()
    assert assistant.wait(_ENDS_BY_ITSELF) == 0, assistant.said()
    assert tasks_run(assistant), assistant.said()
    check_built(hosts, built)


def test_a_command_waits_until_it_sees_what_an_assistant_has_made(ilsvrc: Path, built: Path, tmp_path: Path) -> None:
    with cluster(tmp_path, ilsvrc, stale=8) as hosts:
        shutil.copytree(built, hosts.built)
        (hosts.built / "ilsvrc2012" / "tfrecords" / "train-00000-of-00008").unlink()
        hosts.start_luigid()
        wait_for_work(hosts.start_assistant())
        # When it schedules the build, its host remembers that the shard is not there.
        main = hosts.start_main("--workers", 0, "--worker-keep-alive")
        assert main.wait(_LONGEST_BUILD) == 0, main.said()
        check_built(hosts, built)


def test_what_a_killed_worker_has_left_does_not_keep_a_build_of_another_host_from_being_complete(
    hosts: Cluster, built: Path
) -> None:
    shard = hosts.data_dir / "ilsvrc2012" / "tfrecords" / "train-00000-of-00008"
    hosts.first.run(sys.executable, "-c", _LEAVE, shard)
    assert len(leftovers(hosts.built)) == 1
    hosts.start_luigid()
    hosts.start_assistant()
    # The assistant runs the last task too.
    main = hosts.start_main("--workers", 0, "--worker-keep-alive")
    assert main.wait(_LONGEST_BUILD) == 0, main.said()
    check_built(hosts, built)


def test_a_build_goes_on_when_an_assistant_is_cut_off_for_a_while(hosts: Cluster, built: Path) -> None:
    hosts.start_luigid()
    assistant = hosts.start_assistant()
    wait_for_work(assistant)
    main = hosts.start_main()
    wait_for_tasks(assistant, 3)
    hosts.second.cut_off()
    time.sleep(5)
    hosts.second.bring_back()
    assert main.wait(_LONGEST_BUILD) == 0, hosts.said()
    check_built(hosts, built)


def test_a_build_goes_on_when_an_assistant_is_cut_off_for_ever(hosts: Cluster, built: Path) -> None:
    hosts.start_luigid()
    assistant = hosts.start_assistant()
    wait_for_work(assistant)
    main = hosts.start_main()
    wait_for_tasks(assistant, 1)
    hosts.second.cut_off()
    assert main.wait(_LONGEST_BUILD) == 0, hosts.said()
    check_built(hosts, built)


def test_a_build_goes_on_soon_when_its_main_worker_is_killed_and_started_again(hosts: Cluster, built: Path) -> None:
    hosts.start_luigid()
    hosts.start_assistant()
    main = hosts.start_main()
    wait_for_tasks(main, 5)
    main.end()
    again = hosts.start_main()
    assert again.wait(_LONGEST_BUILD) == 0, hosts.said()
    # Without a look at the process, the killed worker would be lost after a minute.
    assert longest_idle(hosts.programs, time.monotonic())[0] < 40, hosts.said()
    check_built(hosts, built)


def test_a_build_is_complete_after_its_main_worker_was_cut_off_for_a_while(hosts: Cluster, built: Path) -> None:
    hosts.start_luigid()
    hosts.start_assistant()
    main = hosts.start_main()
    wait_for_tasks(main, 5)
    hosts.first.cut_off()
    time.sleep(10)
    hosts.first.bring_back()
    finish(hosts, main)
    check_built(hosts, built)


@pytest.mark.parametrize(
    ("number", "keeps_state"),
    [(signal.SIGTERM, True), (signal.SIGTERM, False), (signal.SIGKILL, False)],
    ids=["stopped, with its state", "stopped", "killed"],
)
def test_a_build_is_complete_after_luigid_was_started_again(
    hosts: Cluster, built: Path, tmp_path: Path, number: signal.Signals, keeps_state: bool
) -> None:
    options = ["--state-path", tmp_path / "state"] if keeps_state else []
    luigid = hosts.start_luigid(*options)
    assistant = hosts.start_assistant()
    wait_for_work(assistant)
    main = hosts.start_main()
    wait_for_tasks(assistant, 3)
    luigid.end(number)
    time.sleep(3)
    hosts.start_luigid(*options)
    finish(hosts, main)
    assert unfinished(main) == [], main.said()
    assert wait_until(lambda: not unfinished(assistant), 60), assistant.said()
    assert assistant.is_running(), assistant.said()
    check_built(hosts, built)
