import luigi

from luigi_ilsvrc.tasks.luigi_support.unfinished import unfinished_tasks

REQUIRED = {
    "all": ["left", "right", "done", "broken", "no requirements"],
    "whole": ["left", "right", "both"],
    "left": ["both"],
    "right": ["both", "done too"],
    "done": ["behind what is done"],
}


class Job(luigi.Task):
    name: str = luigi.Parameter()

    def complete(self) -> bool:
        if self.name == "broken":
            raise OSError
        return self.name.startswith("done")

    def requires(self) -> list[luigi.Task]:
        if self.name == "no requirements":
            raise OSError
        return [Job(name=name) for name in REQUIRED.get(self.name, ())]


class Foreign(luigi.Task):
    def requires(self) -> Job:
        return Job(name="right")


class Mixed(Job):
    name = "mixed"

    def requires(self) -> list[luigi.Task]:
        return [Foreign(), Job(name="left")]


def test_each_task_that_will_run_is_found_once_after_what_requires_it() -> None:
    found = [task.name for task in unfinished_tasks(Job(name="all"), Job)]
    assert found == ["all", "left", "both", "right", "no requirements"]


def test_a_task_that_several_require_is_found_on_the_first_way_to_it() -> None:
    found = [task.name for task in unfinished_tasks(Job(name="whole"), Job)]
    assert found == ["whole", "left", "both", "right"]


def test_tasks_of_other_classes_and_what_is_behind_them_are_left_out() -> None:
    assert [task.name for task in unfinished_tasks(Mixed(), Job)] == ["mixed", "left", "both"]
