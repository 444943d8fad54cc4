import pytest

from luigi_ilsvrc.units import format_duration, format_size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0, "0 s"), (-1, "0 s"), (59.4, "59 s"), (59.5, "1 min"), (90, "2 min"), (3569, "59 min")),
        *((3570, "1 h 0 min"), (7800, "2 h 10 min"), (90_000, "25 h 0 min")),
    ],
)
def test_a_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_995, "10.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB")),
        *((999_499, "999 kB"), (999_500, "1.00 MB"), (41_234_567_890, "41.2 GB"), (147_897_477_120, "148 GB")),
        *((155e12, "155 TB"), (5e18, "5000 PB")),
    ],
)
def test_a_number_of_bytes_has_three_significant_digits_and_a_decimal_prefix(size: float, words: str) -> None:
    assert format_size(size) == words
