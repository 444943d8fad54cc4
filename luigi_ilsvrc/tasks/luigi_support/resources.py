"""Luigi's resources, with which an operator bounds over all hosts how many tasks of a kind run at once."""

from typing import Any

DOWNLOAD = "ilsvrc_download"
EXTRACT = "ilsvrc_extract"
SHARD = "ilsvrc_shard"

_scheduler: Any = None
_known: set[str] | None = None


def use(scheduler: Any) -> None:
    """Set the scheduler that tasks are told to from now on."""
    global _scheduler, _known
    _scheduler, _known = scheduler, None


def of_one(name: str) -> dict[str, int]:
    """Return the resources that a task takes which needs one of a resource: none if the scheduler does not know it.

    Of a resource that it does not know, a scheduler says that there is one: all tasks would run one after the other.
    It knows those of [resources] in its configuration, and those that were set in its web view. Raises RPCError.
    """
    global _known
    if _known is None:
        _known = {resource["name"] for resource in _scheduler.resource_list()} if _scheduler is not None else set()
    return {name: 1} if name in _known else {}
