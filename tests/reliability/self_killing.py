"""Contexts for Luigi's ``[worker] task_process_context``: a child kills itself at a certain or at a random moment."""

import os
import random
import signal
import socket
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from luigi.worker import TaskProcess

from luigi_ilsvrc.tasks.luigi_support import result_queue

VICTIM_FILE = "SELF_KILLING_VICTIM_FILE"
"""Environment variable: a file that the first child to find it removes, and kills itself."""


def kill_self(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Context:
    def __init__(self, process: TaskProcess) -> None:
        self.process = process

    def __enter__(self) -> None:
        try:
            Path(os.environ[VICTIM_FILE]).unlink()
        except FileNotFoundError:
            return
        self.prepare()

    def __exit__(self, *exception: object) -> None:
        pass

    def prepare(self) -> None:
        raise NotImplementedError


class BeforeReport(_Context):
    """With a lock held, if the queue has one, and nothing written."""

    def prepare(self) -> None:
        Connection._send = kill_self  # type: ignore[attr-defined]
        socket.socket.send = kill_self  # type: ignore[assignment, method-assign]


class InReport(_Context):
    """With a part of the result written."""

    def prepare(self) -> None:
        send = socket.socket.send

        def write_half(connection: Any, buffer: Any, *_: object) -> None:
            os.write(connection.fileno(), bytes(buffer[:10]))
            kill_self()

        def send_one_record(*arguments: Any) -> None:
            send(*arguments)
            kill_self()

        Connection._send = write_half  # type: ignore[attr-defined]
        socket.socket.send = send_one_record  # type: ignore[assignment, method-assign]
        result_queue._MAX_CHUNK = 10


class AfterReport(_Context):
    """With the whole result written, and the process not yet ended."""

    def prepare(self) -> None:
        send = Connection._send  # type: ignore[attr-defined]

        def write(*arguments: Any) -> None:
            send(*arguments)
            kill_self()

        Connection._send = write  # type: ignore[attr-defined]
        put = result_queue.ResultQueue.put

        def put_and_die(*arguments: Any) -> None:
            put(*arguments)
            kill_self()

        result_queue.ResultQueue.put = put_and_die  # type: ignore[assignment, method-assign]


class AtRandom:
    """In some of the processes, as SELF_KILLING_SHARE says: while the task runs, or soon after it begins to report."""

    def __init__(self, process: TaskProcess) -> None:
        self.process = process
        # Of the operating system, as multiprocessing's children share the state of `random`.
        self.rng = random.SystemRandom()

    def __enter__(self) -> None:
        if self.rng.random() >= float(os.environ["SELF_KILLING_SHARE"]):
            return
        if self.rng.random() < 0.3:
            self.die_within(0.004)
        else:
            put = self.process.result_queue.put

            def put_and_die(item: object) -> None:
                self.die_within(0.0004)
                put(item)

            self.process.result_queue.put = put_and_die

    def __exit__(self, *exception: object) -> None:
        pass

    def die_within(self, seconds: float) -> None:
        # SIGALRM, whose default action is that of SIGKILL.
        signal.setitimer(signal.ITIMER_REAL, self.rng.uniform(1e-6, seconds))


class Interrupted(_Context):
    """By SIGINT, before it begins."""

    def prepare(self) -> None:
        signal.raise_signal(signal.SIGINT)
