"""Conditions over the parameters of a point, such as ``N > 16 and rate_pps >= 40000``.

A condition is written as in Python and has nothing but comparisons, ``and``, ``or``, ``not``, ``in``, arithmetic, numbers,
texts in quotes, lists and the names of parameters. A parameter whose text is a number is that number, any other is its text.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from qemunet.topology.problems import PartError, did_you_mean

_LONGEST = 1000
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
_RULE = "a condition has comparisons, and, or, not, in, + - * / // %, numbers, texts in quotes, lists and parameters"


class Condition:
    """A condition.

    Args:
        text: As it is written.
        names: The parameters that it may name.

    Raises:
        PartError: it is none, with the place of what is wrong.
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text = text
        if len(text) > _LONGEST:
            raise PartError(f"a condition of {len(text)} characters; at most {_LONGEST} are read", 0)
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            offset = (getattr(error, "offset", None) or 1) - 1
            raise PartError(f"this is no condition: {getattr(error, 'msg', error)}", offset) from None
        self._check(self._tree, names)

    def holds(self, point: Mapping[str, str]) -> bool:
        """Whether it holds for a point.

        Raises:
            PartError: values cannot be compared or computed with.
        """
        return bool(self._value(self._tree, point))

    def _check(self, node: ast.expr, names: Collection[str]) -> None:
        if isinstance(node, ast.Name):
            if node.id not in names:
                near = did_you_mean(node.id, names) or f"; there are {', '.join(names) or 'none'}"
                raise PartError(f"{node.id} is no parameter of the sweep{near}", node.col_offset)
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
                self._check(child, names)

    def _value(self, node: ast.expr, point: Mapping[str, str]) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return _number_or_text(point[node.id])
            case ast.List() | ast.Tuple():
                return [self._value(each, point) for each in node.elts]
            case ast.BoolOp():
                values = (self._value(each, point) for each in node.values)
                return all(values) if isinstance(node.op, ast.And) else any(values)
        try:
            match node:
                case ast.UnaryOp():
                    value = self._value(node.operand, point)
                    return not value if isinstance(node.op, ast.Not) else -value
                case ast.BinOp():
                    left, right = self._value(node.left, point), self._value(node.right, point)
                    if isinstance(left, (str, list)) or isinstance(right, (str, list)):
                        # A text times a number would be as long as one likes.
                        raise TypeError("only numbers can be computed with")
                    return _COMPUTE[type(node.op)](left, right)
                case ast.Compare():
                    left = self._value(node.left, point)
                    for op, each in zip(node.ops, node.comparators, strict=True):
                        right = self._value(each, point)
                        if not _COMPARE[type(op)](left, right):
                            return False
                        left = right
                    return True
        except (TypeError, ArithmeticError, ValueError) as error:
            raise PartError(f"{ast.unparse(node)}: {error}", node.col_offset) from None
        raise AssertionError(node)  # checked before


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
