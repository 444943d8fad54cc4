from collections import Counter

from luigi_ilsvrc.miniature.oddities import place_oddities


def test_every_kind_is_placed_as_often_as_asked_for() -> None:
    assert Counter(place_oddities({"a": 2, "b": 3}, 100, "seed").values()) == {"a": 2, "b": 3}


def test_the_last_kinds_are_left_out_if_there_are_too_few_positions() -> None:
    assert sorted(place_oddities({"a": 2, "b": 3}, 4, "seed").values()) == ["a", "a", "b", "b"]


def test_the_reserved_position_is_not_used() -> None:
    for reserved in range(4):
        assert sorted(place_oddities({"a": 3}, 4, "seed", reserved)) == [n for n in range(4) if n != reserved]
