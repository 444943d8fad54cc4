"""Runs a command in a terminal, and tells what it shows."""

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping, Sequence

COLUMNS = 140
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_in_terminal(
    command: Sequence[object], environment: Mapping[str, str], answers: Sequence[tuple[str, str]] = ()
) -> tuple[int, str]:
    """Run a command in a terminal of 140 columns; return its exit status, and all that the terminal showed.

    Each of `answers` is a prompt and what is typed when it is shown, in their order; a line ends with its newline.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir("/")
        os.execve(str(command[0]), list(map(str, command)), {**environment, "TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    written, read = b"", 0
    waiting = list(answers)
    while True:
        if waiting and (found := written.find(waiting[0][0].encode(), read)) >= 0:
            prompt, typed = waiting.pop(0)
            read = found + len(prompt.encode())
            os.write(terminal, typed.encode())
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:
            # The last process has closed it.
            break
        if not chunk:
            break
        written += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode()


def lines_shown(written: str) -> list[str]:
    """Return the lines that a terminal shows at the end of what was written to it.

    Each is what was written after the line was last erased. Raises ValueError for other control sequences.
    """
    lines = [line.rpartition("\r\x1b[K")[2] for line in written.replace("\r\n", "\n").split("\n")]
    strange = [line for line in lines if _CONTROL.search(line) or "\r" in line]
    if strange:
        raise ValueError(f"control sequences are left in {strange[0]!r}")
    return lines


def shown_meanwhile(written: str) -> list[str]:
    """Return what was shown on a line that was erased again."""
    erased = [line.split("\r\x1b[K")[:-1] for line in written.replace("\r\n", "\n").split("\n")]
    return [text for line in erased for text in line if text]
