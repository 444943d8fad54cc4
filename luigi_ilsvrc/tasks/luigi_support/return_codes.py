"""The exit codes of the command line, which Luigi sets to 0 for failures unless its configuration has [retcode]."""

import logging

from luigi.cmdline_parser import CmdlineParser
from luigi.retcodes import retcode

_is_said = False

logger = logging.getLogger("luigi-interface")


def warn_if_missing() -> None:
    """Warn once if a command would exit with 0 although tasks have failed."""
    global _is_said
    if _is_said or CmdlineParser.get_instance() is None or retcode().task_failed != 0:
        return
    _is_said = True
    logger.warning(
        "Luigi's configuration has no [retcode]: this command exits with 0 also if tasks fail. Copy [retcode] from the "
        "luigi.cfg of luigi_ilsvrc into yours, or set LUIGI_CONFIG_PATH to that file"
    )
