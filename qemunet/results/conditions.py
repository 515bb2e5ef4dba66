"""Conditions over named values, such as ``N > 16 and rate_pps >= 40000``.

A condition is written as in Python and has nothing but comparisons, ``and``, ``or``, ``not``, ``in``, arithmetic, numbers,
texts in quotes, lists and names, which may have dots. A text that is a number is that number. A comparison with a value
that is not there does not hold, but for ``!=``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from qemunet.topology.problems import PartError, did_you_mean

_LONGEST, _DEEPEST = 1000, 50
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}
_COMPUTE: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_RULE = "a condition has comparisons, and, or, not, in, + - * / // %, numbers, texts in quotes, lists and names"


class Condition:
    """A condition.

    Args:
        text: As it is written.
        names: Those that it may use.
        what: What a name is, for messages.

    Raises:
        PartError: it is none, with the place of what is wrong.
    """

    def __init__(self, text: str, names: Collection[str], *, what: str = "parameter of the sweep") -> None:
        self.text = text
        self._names = names
        self._what = what
        if len(text) > _LONGEST:
            raise PartError(f"a condition of {len(text)} characters; at most {_LONGEST} are read", 0)
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            offset = (getattr(error, "offset", None) or 1) - 1
            raise PartError(f"this is no condition: {getattr(error, 'msg', error)}", offset) from None
        self._check(self._tree, 0)
        if not _is_truth(self._tree):
            raise PartError(f"{ast.unparse(self._tree)} is no condition: nothing is compared", 0)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for values by their names; None is one that is not there.

        Raises:
            PartError: values cannot be compared or computed with.
        """
        return bool(self._value(self._tree, values))

    def _check(self, node: ast.expr, depth: int) -> None:
        if depth > _DEEPEST:
            raise PartError(f"nested more than {_DEEPEST} deep", node.col_offset)
        if (name := _name(node)) is not None:
            if name not in self._names:
                near = did_you_mean(name, self._names) or f"; there are {', '.join(self._names) or 'none'}"
                raise PartError(f"{name} is no {self._what}{near}", node.col_offset)
            return
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float, str):
                raise PartError(f"{node.value!r} is no value; {_RULE}", node.col_offset)
            return
        allowed = (
            isinstance(node, (ast.BoolOp, ast.List, ast.Tuple))
            or (isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)))
            or (isinstance(node, ast.BinOp) and type(node.op) in _COMPUTE)
            or (isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops))
        )
        if not allowed:
            raise PartError(_RULE, node.col_offset)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._check(child, depth + 1)

    def _value(self, node: ast.expr, values: Mapping[str, Any]) -> Any:
        if (name := _name(node)) is not None:
            value = values.get(name)
            return _number_or_text(value) if isinstance(value, str) else value
        match node:
            case ast.Constant():
                return node.value
            case ast.List() | ast.Tuple():
                return [self._value(each, values) for each in node.elts]
            case ast.BoolOp():
                parts = (self._value(each, values) for each in node.values)
                return all(parts) if isinstance(node.op, ast.And) else any(parts)
        try:
            match node:
                case ast.UnaryOp():
                    value = self._value(node.operand, values)
                    if isinstance(node.op, ast.Not):
                        return not value
                    return None if value is None else -value
                case ast.BinOp():
                    left, right = self._value(node.left, values), self._value(node.right, values)
                    if left is None or right is None:
                        return None
                    if isinstance(left, (str, list)) or isinstance(right, (str, list)):
                        # A text times a number would be as long as one likes.
                        raise TypeError("only numbers can be computed with")
                    return _COMPUTE[type(node.op)](left, right)
                case ast.Compare():
                    left = self._value(node.left, values)
                    for op, each in zip(node.ops, node.comparators, strict=True):
                        right = self._value(each, values)
                        if left is None or right is None:
                            if not isinstance(op, (ast.NotEq, ast.NotIn)):
                                return False
                        elif not _COMPARE[type(op)](left, right):
                            return False
                        left = right
                    return True
        except (TypeError, ArithmeticError, ValueError) as error:
            raise PartError(f"{ast.unparse(node)}: {error}", node.col_offset) from None
        raise AssertionError(node)  # checked before


def _name(node: ast.expr) -> str | None:
    """A name, with its dots; None if it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _name(node.value)) is not None:
        return f"{before}.{node.attr}"
    return None


def _is_truth(node: ast.expr) -> bool:
    """Whether something holds or does not, and is no number, text or list."""
    if isinstance(node, ast.BoolOp):
        return all(map(_is_truth, node.values))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not) and _is_truth(node.operand)
    return isinstance(node, ast.Compare)


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
