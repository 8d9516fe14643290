"""What columns are called where TensorFlow and file systems do not take every name."""

import hashlib
import re

_ESCAPED = "escaped_"
_LONGEST = 100
"""Characters of a request name: it becomes a file name, of 255 bytes at most, in directories with names of their own."""


def request_name(column: str) -> str:
    """What a column is called in requests and file names, where TensorFlow takes letters, digits and underscores only.

    A name of these that begins with a letter or a digit stays as it is. In any other a character that is no letter or
    digit becomes its number in Unicode, in hexadecimal between underscores, and an underscore becomes two, behind
    `escaped_`: "unit price" is `escaped_unit_20_price`, and "_id" is `escaped___id`. No two names become one; what
    would be too long ends with a hash of the name.
    """
    is_plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]*", column) and len(column) <= _LONGEST
    # `label_classes` is the file with the classes of a label.
    if is_plain and not column.startswith(_ESCAPED) and column != "label_classes":
        return column
    name = _ESCAPED + re.sub(r"[^A-Za-z0-9]", _escape, column)
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 18]}__{hashlib.sha256(column.encode()).hexdigest()[:16]}"


def _escape(found: re.Match[str]) -> str:
    return "__" if found[0] == "_" else f"_{ord(found[0]):x}_"
