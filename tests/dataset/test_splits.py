from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION


def test_the_splits_are_the_words_of_the_command_line_and_of_file_names() -> None:
    assert SPLITS == (TRAIN, VALIDATION) == ("train", "validation")
