"""Words: quotes, comments, continuation, brackets and columns."""

from __future__ import annotations

import pytest

from qemunet.errors import TopologyError
from qemunet.topology.lexer import split_statements
from qemunet.topology.problems import Problems
from qemunet.topology.ranges import expand_ranges


def words(text: str) -> list[list[str]]:
    problems = Problems()
    statements = split_statements(text, "t", problems)
    problems.raise_if_any()
    return [[word.text for word in statement] for statement in statements]


def complaint(text: str) -> str:
    with pytest.raises(TopologyError) as caught:
        words(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\n\n  c\td\r\n", [["a", "b"], ["c", "d"]]),
        ("# all\n a#b #c d\n", [["a#b"]]),
        ("a '#b' \\#c \"#d\" e", [["a", "#b", "#c", "#d", "e"]]),
        ("'a b'\"c d\"e\\ f", [["a bc de f"]]),
        (r"'a\b' " r'"a\b\"\\\$"', [["a\\b", 'a\\b"\\$']]),
        ("a '' b", [["a", "", "b"]]),
        ("a \\\n  b\\\nc\nd", [["a", "bc"], ["d"]]),
        ("a \\\n# comment\nb", [["a"], ["b"]]),
        ("# no continuation \\\nb", [["b"]]),
        ('"a\\\nb"', [["ab"]]),
        ("delay=uniform(5ms, 10ms)/5ms  x", [["delay=uniform(5ms, 10ms)/5ms", "x"]]),
        ("f(a (b c) d) '( ' \\)", [["f(a (b c) d)", "( ", ")"]]),
        ("\ufeffnode a", [["node", "a"]]),
        ("a \\", [["a"]]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[list[str]]) -> None:
    assert words(text) == expected


def test_places_count_characters_of_the_source_line() -> None:
    problems = Problems()
    (statement,) = split_statements("  é 'b c'\t\\\n  d(1 2) e", "t", problems)
    assert [str(word.place) for word in statement] == ["t:1:3", "t:1:5", "t:2:3", "t:2:10"]


def test_every_character_of_a_word_has_a_place() -> None:
    problems = Problems()
    (statement,) = split_statements('a\'b c\'"d\\"e"\\fg\\\n  h(i) x', "t", problems)
    assert statement[0].text == 'ab cd"efg'
    columns = [statement[0].at(offset).column for offset in range(len(statement[0].text))]
    assert columns == [1, 3, 4, 5, 8, 10, 11, 14, 15]
    assert [str(statement[1].at(offset)) for offset in range(2)] == ["t:2:3", "t:2:4"]
    assert [str(statement[0].tail(4).at(offset)) for offset in (0, 1)] == ["t:1:8", "t:1:10"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a 'b\nc", "t:1:3: this ' is not closed"),
        ('a\n b"c\nd', 't:2:3: this " is not closed'),
        ("a f(b c\nd", "t:1:4: this ( is not closed"),
        ("a b)", "t:1:4: this ) closes nothing"),
        ("a\n b\x00", "t:2:3: character U+0000"),
        ("a\ud800", "t:1:2: character U+D800"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    assert says in complaint(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n", ["n"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-11]x", ["n08x", "n09x", "n10x", "n11x"]),
        ("n[1-03]", ["n01", "n02", "n03"]),
        ("n[0-2]", ["n0", "n1", "n2"]),
        ("r[1-2]c[1-2]", ["r1c1", "r1c2", "r2c1", "r2c2"]),
        ("n[1-0]", []),
        ("n[1-3]m[5-4]", []),
    ],
)
def test_ranges(text: str, names: list[str]) -> None:
    assert expand_ranges(text, most=100) == names


@pytest.mark.parametrize(
    "text", ["n[1]", "n[1-", "n]", "n[a-b]", "n[1-2-3]", "n[-1-3]", "n[1-999999999]", "n[1-2]" * 99]
)
def test_wrong_ranges(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        expand_ranges(text, most=100)
