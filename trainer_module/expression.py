"""Label expressions such as ``tips > 0.2 * fare``: parsed once, evaluated on any operands.

The language is Python's arithmetic, comparison and ``and``/``or``/``not`` over column names, numbers
and quoted texts. A name that Python would not take stands between backticks: ```unit price` > 3``. Nothing else
parses, so a dataset file cannot run code. Standard library only: the operands may be TensorFlow tensors or
plain Python values.

Which operands go together is decided before any data is read (`check_types`): TensorFlow would say it in
the middle of a run, and not by the name of a column.
"""

import ast
import functools
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

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

_LONGEST, _DEEPEST = 2000, 100
"""Characters, and levels of an expression: Python's own recursion ends at about a thousand."""

_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]+)`""")
"""Texts, and (the group) names between backticks."""


def columns_of(text: str) -> tuple[str, ...]:
    """The column names that `text` reads, in order of appearance.

    Raises:
      ValueError: If `text` is not an expression of the language above.
    """
    nodes = (node for node in ast.walk(_parse(text)) if isinstance(node, ast.Name))
    in_order = sorted(nodes, key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in in_order))


def is_comparison(text: str) -> bool:
    """Whether `text` yields true or false rather than a value."""
    node = _parse(text)
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def is_column(text: str) -> bool:
    """Whether `text` is the name of one column and nothing else; also where it is no expression, False."""
    try:
        return isinstance(_parse(text), ast.Name)
    except ValueError:
        return False


def check_types(text: str, texts: Collection[str]) -> None:
    """Raises ValueError, in a sentence that begins with the expression, where texts and numbers are mixed.

    Args:
      text: The expression.
      texts: Those of its columns that hold texts; all others hold numbers.
    """
    _type_of(_parse(text), texts, text)


Align = Callable[[Any, Any], tuple[Any, Any]]
"""Makes the two operands of an operation go together."""


def evaluate(text: str, operands: Mapping[str, Any], align: Align = lambda left, right: (left, right)) -> Any:
    """The value of `text`, with each column name replaced by its operand.

    Args:
      text: The expression.
      operands: By column name.
      align: Of both operands of each arithmetic operation and comparison, before it.
    """
    return _evaluate(_parse(text), operands, align)


def _parse(text: str) -> ast.expr:
    quoted: dict[str, str] = {}

    def name_plainly(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        # Digits enough that no column is called so.
        plain = f"quoted_{len(quoted):09d}"
        quoted[plain] = match[1]
        return plain

    if len(text) > _LONGEST:
        raise ValueError(f"expression {text[:60]!r}… has {len(text)} characters; it may have {_LONGEST}")
    try:
        node = ast.parse(_QUOTED.sub(name_plainly, text.strip()), mode="eval").body
    except SyntaxError as error:
        raise ValueError(
            f"expression {text!r} cannot be parsed: {error.msg}; a column whose name is not of letters, digits and "
            "underscores, or is one of Python's words, stands between backticks (`unit price`)"
        ) from error
    except (RecursionError, MemoryError, ValueError) as error:
        # ValueError: Python's own bound on digits, or a zero byte.
        raise ValueError(
            f"expression {text[:60]!r}… cannot be parsed: write it shorter and flatter"
        ) from error
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            part.id = quoted.get(part.id, part.id)
    _check(node, text)
    return node


def _check(node: ast.expr, text: str, depth: int = 1) -> float | None:
    """Refuses what is no part of the language; returns the number that `node` is in every row, if it is one."""
    if depth > _DEEPEST:
        raise ValueError(f"expression {text[:60]!r}… is nested more than {_DEEPEST} deep: write it flatter")
    match node:
        case ast.Constant(value=int() | float() as value) if not abs(value) < 2**63:
            raise ValueError(f"expression {text[:60]!r} has a number that is too large: use one below 2^63")
        case ast.BinOp(left=left, right=right) if any(
            isinstance(each, ast.Constant) and isinstance(each.value, str) for each in (left, right)
        ):
            raise ValueError(f"expression {text[:60]!r} calculates with a text: use numbers")
        case ast.Name() | ast.Constant(value=int() | float() | str()) | ast.BoolOp():
            pass
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            pass
        case ast.BinOp(op=op) | ast.Compare(ops=[op]) if type(op) in _BINARY:
            pass
        case _:
            part = ast.unparse(node)
            raise ValueError(
                f"expression {text!r} uses {part!r}; only column names, numbers, texts, "
                "+ - * /, one comparison at a time, and/or/not are allowed"
            )
    numbers = [_check(child, text, depth + 1) for child in _children(node)]
    match node, numbers:
        case ast.Constant(value=int() | float() as value), _:
            return value
        case ast.UnaryOp(op=ast.USub()), [int() | float() as number]:
            return -number
        case ast.BinOp(op=ast.Div()), [_, 0]:
            raise ValueError(
                f"expression {text[:60]!r} divides by zero in {ast.unparse(node)[:60]!r}, which has no value in any row: "
                "correct it"
            )
        case ast.BinOp(op=op), [int() | float() as first, int() | float() as second]:
            if not abs(found := _BINARY[type(op)](first, second)) < 2**63:
                raise ValueError(
                    f"expression {text[:60]!r} has a number that is too large, {ast.unparse(node)[:60]!r}: use one below "
                    "2^63"
                )
            return found
    return None


def _type_of(node: ast.expr, texts: Collection[str], whole: str) -> str:
    """ "text", "number" or "truth"."""

    def ask(child: ast.expr) -> str:
        return _type_of(child, texts, whole)

    def refuse(what: str) -> NoReturn:
        raise ValueError(f"expression {whole!r} {what}")

    match node:
        case ast.Name(id=name):
            return "text" if name in texts else "number"
        case ast.Constant(value=value):
            return "text" if isinstance(value, str) else "number"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            sides = {ask(left), ask(right)}
            if "truth" in sides:
                refuse(f"compares yes or no in {ast.unparse(node)!r}: combine comparisons with and, or, not.")
            if sides == {"text", "number"}:
                refuse(f"compares a text with a number in {ast.unparse(node)!r}: {_fix(left, right, texts)}.")
            if sides == {"text"} and not isinstance(op, (ast.Eq, ast.NotEq)):
                refuse(
                    f"asks for the order of texts in {ast.unparse(node)!r}; texts are only == or != another."
                )
            return "truth"
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            for child in _children(node):
                if ask(child) != "truth":
                    refuse(f"uses {ast.unparse(child)!r} as yes or no: compare it with something.")
            return "truth"
    for child in _children(node):
        if ask(child) != "number":
            refuse(f"calculates with {ast.unparse(child)!r}, which is no number.")
    return "number"


def _children(node: ast.expr) -> list[ast.expr]:
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _fix(left: ast.expr, right: ast.expr, texts: Collection[str]) -> str:
    for column, other in ((left, right), (right, left)):
        if isinstance(column, ast.Name) and isinstance(other, ast.Constant):
            if column.id in texts:
                return f"'{column.id}' holds texts, write {str(other.value)!r} in quotes"
            return f"'{column.id}' holds numbers, write {other.value!s} without quotes"
    return "make both texts or both numbers"


def _evaluate(node: ast.expr, operands: Mapping[str, Any], align: Align) -> Any:
    def value_of(child: ast.expr) -> Any:
        return _evaluate(child, operands, align)

    match node:
        case ast.Name(id=name):
            return operands[name]
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](*align(value_of(left), value_of(right)))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _BINARY[type(op)](*align(value_of(left), value_of(right)))
        case ast.BoolOp(op=op, values=values):
            return functools.reduce(_BINARY[type(op)], map(value_of, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            # `~` on a Python bool is bitwise (-1, -2); comparing with False means "not" everywhere.
            return value_of(operand) == False  # noqa: E712
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value_of(operand)
    raise AssertionError(ast.dump(node))
