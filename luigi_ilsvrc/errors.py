"""The base of every error that a person, not a programmer, has to act on."""


class BuildError(Exception):
    """Something is wrong with an input, the set-up or the machine.

    The message says what happened, to which file, and what to do now; it is shown without a traceback.
    Each module raises its own subclass.
    """


MAX_SHOWN = 10
"""Reasons that one error shows."""


def list_reasons(reasons: list[str], count: int | None = None) -> str:
    """Return the first ten reasons, a line each, and how many more there are.

    If the list does not hold all reasons, `count` says how many there are.
    """
    lines = reasons[:MAX_SHOWN]
    more = (len(reasons) if count is None else count) - len(lines)
    if more:
        lines.append(f"and {more} more")
    return "".join(f"\n  {line}" for line in lines)
