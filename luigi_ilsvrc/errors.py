"""The base of every error that a person, not a programmer, has to act on."""


class BuildError(Exception):
    """Something is wrong with an input, the set-up or the machine.

    The message says what happened, to which file, and what to do now; it is shown without a traceback.
    Each room raises its own subclass.
    """


_REASONS_SHOWN = 10


def list_reasons(reasons: list[str]) -> str:
    """Return the first ten reasons, a line each, and how many more there are."""
    lines = reasons[:_REASONS_SHOWN]
    if len(reasons) > _REASONS_SHOWN:
        lines.append(f"and {len(reasons) - _REASONS_SHOWN} more")
    return "".join(f"\n  {line}" for line in lines)
