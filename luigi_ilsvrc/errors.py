"""The base of every error that a person, not a programmer, has to act on."""


class BuildError(Exception):
    """Something is wrong with an input, the set-up or the machine.

    The message says what happened, to which file, and what to do now; it is shown without a traceback.
    Each room raises its own subclass.
    """
