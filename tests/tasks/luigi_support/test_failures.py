import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.tasks.luigi_support.failures import decode, encode, wrap

WORD = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=90)
SPACE = st.sampled_from([" ", "  ", "\t"])
LINE = st.lists(st.tuples(SPACE, WORD), min_size=1, max_size=30).map(lambda it: "".join(map("".join, it)).strip())
LINES = st.lists(LINE, min_size=1, max_size=4)


@given(LINES)
def test_what_is_wrapped_for_the_web_view_is_read_back_as_it_was(lines: list[str]) -> None:
    text = "\n  ".join(lines)
    assert decode(encode(text)) == text


@given(LINES)
def test_a_wrapped_line_is_short_unless_it_is_one_word(lines: list[str]) -> None:
    assert all(len(line.rstrip()) <= 66 or not re.search(r"\S \S", line) for line in wrap("\n".join(lines)).split("\n"))


def test_a_line_of_a_list_keeps_its_indent() -> None:
    wrapped = wrap(f"2 are damaged:\n  {'word ' * 20}end\n  second")
    assert [line[:3] for line in wrapped.split("\n")] == ["2 a", "  w", "  w", "  s"]


@pytest.mark.parametrize(("kept", "text"), [(None, ""), ("", ""), ("no JSON", "no JSON"), ('"in JSON"', "in JSON")])
def test_what_luigi_keeps_by_itself_is_read_too(kept: str | None, text: str) -> None:
    assert decode(kept) == text
