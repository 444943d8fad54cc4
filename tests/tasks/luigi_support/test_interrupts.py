import logging
import logging.handlers
import signal
import subprocess
import sys
import threading

import pytest

from luigi_ilsvrc.tasks.luigi_support.interrupts import MESSAGE, interrupts_deferred, release_log_locks
from tests.support.running import PROJECT

# Python drops what is raised while it disposes of an object.
DROPS_AN_INTERRUPT = """
import signal, time
from luigi_ilsvrc.tasks.luigi_support import interrupts

class DropsInterrupts:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

interrupts._REPEAT_AFTER = {seconds}
interrupts.keep_interrupts()
DropsInterrupts()
for _ in range(1000):
    time.sleep(0.01)
print("went on")
"""


# 0: while Python still disposes of the object, as on a busy machine. In a process of its own: in that of the tests, the
# interrupt may come while Python disposes of what other tests left, and tensorflow takes no notice of any error there.
@pytest.mark.parametrize("seconds", [0, 0.02])
def test_an_interrupt_that_python_drops_comes_again(seconds: float) -> None:
    program = DROPS_AN_INTERRUPT.format(seconds=seconds)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT)
    assert ended.returncode == -signal.SIGINT, ended.stderr
    assert ended.stderr.endswith("KeyboardInterrupt\n")
    assert ended.stdout == ""


def test_an_interrupt_within_a_block_comes_after_it() -> None:
    deferred: list[int] = []
    reached = False
    with pytest.raises(KeyboardInterrupt), interrupts_deferred(deferred):
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert deferred == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_lock_that_an_interrupt_left_stops_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.handlers.BufferingHandler(capacity=10)
    logger = logging.getLogger("luigi-interface")
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler(), handler])
    handler.acquire()
    handler.acquire()
    release_log_locks()
    other = threading.Thread(target=logger.error, args=["stopped"], daemon=True)
    other.start()
    other.join(60)
    assert [record.getMessage() for record in handler.buffer] == ["stopped"]


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "RuntimeError"])
def test_errors_that_do_not_concern_the_build_keep_their_traceback(error: str) -> None:
    program = f"import luigi_ilsvrc; luigi_ilsvrc.TrainImages(); raise {error}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT)
    assert "Traceback" in ended.stderr
    assert MESSAGE not in ended.stderr
    assert ended.returncode != 0
