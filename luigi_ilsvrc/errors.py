"""The base of every error that a person, not a programmer, has to act on."""


class BuildError(Exception):
    """Something is wrong with an input, the set-up or the machine.

    The message says what happened, to which file, and what to do now; it is shown without a traceback.
    Each module raises its own subclass.
    """


_MAX_SHOWN = 10


def list_reasons(reasons: list[str]) -> str:
    """Return the first ten reasons, a line each, and how many more there are."""
    lines = reasons[:_MAX_SHOWN]
    if len(reasons) > _MAX_SHOWN:
        lines.append(f"and {len(reasons) - _MAX_SHOWN} more")
    return "".join(f"\n  {line}" for line in lines)
