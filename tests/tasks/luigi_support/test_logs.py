import logging
import logging.handlers
import subprocess
import sys
import traceback
from collections.abc import Iterator

import luigi
import luigi.worker
import pytest

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.storage.disk import DiskError
from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.luigi_support import logs

luigi_logger = logging.getLogger("luigi-interface")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logs.install()
    with caplog.at_level(logging.INFO, "luigi-interface"):
        yield caplog


def test_an_error_that_a_person_can_act_on_is_logged_without_a_traceback(log: pytest.LogCaptureFixture) -> None:
    try:
        raise BuildError("/data: fix it")
    except BuildError:
        luigi_logger.exception("[pid 1] Worker failed  Task()")
    assert log.messages == ["[pid 1] Worker failed  Task(): /data: fix it"]
    assert "Traceback" not in log.text


def test_an_error_before_scheduling_is_logged_by_its_message_alone(log: pytest.LogCaptureFixture) -> None:
    try:
        raise BuildError("/table.txt:3: fix the line")
    except BuildError:
        luigi_logger.exception("Uncaught exception in luigi")
    assert log.messages == ["/table.txt:3: fix the line"]


def test_an_error_of_a_programmer_keeps_its_traceback(log: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("x")
    except KeyError:
        luigi_logger.exception("Uncaught exception in luigi")
    assert "Traceback" in log.text


def test_a_traceback_in_the_text_of_a_warning_becomes_an_error_of_one_line(log: pytest.LogCaptureFixture) -> None:
    text = (
        "Will not run Task() or any dependencies due to error in deps() method:\nTraceback (most recent call last):\n"
        f'  File "x.py", line 1\n{DiskError.__module__}.{DiskError.__name__}: /data: 5 bytes are needed\n'
    )
    luigi_logger.warning(text)
    assert log.messages == ["/data: 5 bytes are needed"]
    assert log.records[0].levelname == "ERROR"


def test_a_message_of_several_lines_is_kept_without_the_traceback() -> None:
    try:
        raise RuntimeError("no account\n  on this host")
    except RuntimeError:
        text = f"Runtime error:\n{traceback.format_exc()}"
    assert logs.without_traceback(text) == "RuntimeError: no account\n  on this host"


def test_warnings_of_the_modules_stand_in_luigis_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.install()
    handler = logging.handlers.BufferingHandler(capacity=10)
    monkeypatch.setattr(luigi_logger, "handlers", [handler])
    logging.getLogger("luigi_ilsvrc.storage.locks").warning("waiting for %s", "x")
    assert [record.getMessage() for record in handler.buffer] == ["waiting for x"]


def test_a_line_on_a_task_of_which_there_are_two_classes_stays() -> None:
    first, second = (type("Twice", (luigi.Task,), {"__module__": module}) for module in ("one", "other"))
    record = logging.LogRecord(
        *("luigi-interface", logging.INFO, luigi.worker.__file__, 1),
        *("Informed scheduler that task   %s   has status   %s", (f"{first().task_id}_", "DONE"), None),
    )
    assert first is not second
    assert logs.LeaveOut(ILSVRCTask).filter(record)


def test_it_is_set_up_once_only() -> None:
    logs.install()
    before = (list(luigi_logger.filters), list(logging.getLogger("luigi_ilsvrc").handlers))
    logs.install()
    assert (luigi_logger.filters, logging.getLogger("luigi_ilsvrc").handlers) == before


@pytest.mark.parametrize(
    ("program", "changed"),
    [
        ("import luigi_ilsvrc", False),
        ("import luigi_ilsvrc; luigi_ilsvrc.IndexTrain()", True),
    ],
)
def test_loggers_are_changed_by_the_first_task_and_not_by_the_import(program: str, changed: bool) -> None:
    state = (
        "print(any(logger.filters or logger.handlers or not logger.propagate for logger in "
        "map(logging.getLogger, ('luigi_ilsvrc', 'luigi-interface'))))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import logging; {program}; {state}"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == str(changed)
