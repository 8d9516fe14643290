"""Label expressions such as ``tips > 0.2 * fare``: parsed once, evaluated on any operands.

The language is Python's arithmetic, comparison and ``and``/``or``/``not`` over column names, numbers
and quoted texts. Nothing else parses, so a dataset file cannot run code. Standard library only:
the operands may be TensorFlow tensors or plain Python values.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    # Tensors refuse `and`, which asks for their truth value; `&` means the same on booleans.
    ast.And: operator.and_,
    ast.Or: operator.or_,
}


def columns_of(text: str) -> tuple[str, ...]:
    """The column names that `text` reads, in order of appearance.

    Raises:
      ValueError: If `text` is not an expression of the language above.
    """
    nodes = (node for node in ast.walk(_parse(text)) if isinstance(node, ast.Name))
    in_order = sorted(nodes, key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in in_order))


def evaluate(text: str, operands: Mapping[str, Any]) -> Any:
    """The value of `text`, with each column name replaced by its operand."""
    return _evaluate(_parse(text), operands)


def _parse(text: str) -> ast.expr:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"expression {text!r} cannot be parsed: {error.msg}") from error
    _check(node, text)
    return node


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Name() | ast.Constant(value=int() | float() | str()):
            return
        case (
            ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right])
        ) if type(op) in _BINARY:
            children = [left, right]
        case ast.BoolOp(values=children):
            pass
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            children = [operand]
        case _:
            part = ast.unparse(node)
            raise ValueError(
                f"expression {text!r} uses {part!r}; only column names, numbers, texts, "
                "+ - * /, one comparison at a time, and/or/not are allowed"
            )
    for child in children:
        _check(child, text)


def _evaluate(node: ast.expr, operands: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return operands[name]
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _BINARY[type(op)](_evaluate(left, operands), _evaluate(right, operands))
        case ast.BoolOp(op=op, values=[first, *rest]):
            value = _evaluate(first, operands)
            for other in rest:
                value = _BINARY[type(op)](value, _evaluate(other, operands))
            return value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            # `~` on a Python bool is bitwise (-1, -2); comparing with False means "not" everywhere.
            return _evaluate(operand, operands) == False  # noqa: E712
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, operands)
    raise AssertionError(ast.dump(node))
