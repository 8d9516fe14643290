"""Asks TensorFlow Serving over REST with raw rows; standard library only.

    python examples/clients/rest_client.py --server http://127.0.0.1:8501 --model taxi examples/rows.json

The client asks the server for the model's signature and builds the request from it. Prints one
prediction a row, as JSON.
"""

import argparse
import hashlib
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SIGNATURE = "predict_raw"
MISSING: dict[str, Any] = {
    "DT_STRING": "",
    "DT_FLOAT": float("nan"),
    "DT_DOUBLE": float("nan"),
    "DT_INT64": -(2**63),
}


def main(arguments: list[str] | None = None) -> int:
    """Asks, prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path, help="a JSON list of rows: column name → value")
    parser.add_argument("--server", default="http://127.0.0.1:8501", help="address (%(default)s)")
    parser.add_argument("--model", default="taxi", help="the model's name (%(default)s)")
    options = parser.parse_args(arguments)
    rows = json.loads(options.rows.read_text())
    address = f"{options.server}/v1/models/{options.model}"
    try:
        metadata = call(f"{address}/metadata")
        signature = metadata["metadata"]["signature_def"]["signature_def"][SIGNATURE]
        answer = call(f"{address}:predict", build_body(signature, rows))
    except urllib.error.HTTPError as error:
        print(f"{options.server} answered {error.code}: {error.read().decode()}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.server} cannot be reached: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer["outputs"]))
    return 0


def request_name(column: str) -> str:
    """What a column is called in requests: letters, digits and underscores stay, all else is escaped by its number."""
    is_plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]*", column) and len(column) <= 100
    if is_plain and not column.startswith("escaped_") and column != "label_classes":
        return column
    name = "escaped_" + re.sub(r"[^A-Za-z0-9]", escape, column)
    return name if len(name) <= 100 else f"{name[:82]}__{hashlib.sha256(column.encode()).hexdigest()[:16]}"


def escape(found: re.Match[str]) -> str:
    """An underscore is written twice, another character as its hexadecimal number between underscores."""
    return "__" if found[0] == "_" else f"_{ord(found[0]):x}_"


def build_body(signature: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The columnar format; TensorFlow Serving reads NaN, which plain JSON does not have."""
    rows = [{request_name(name): value for name, value in row.items()} for row in rows]
    columns = {}
    for column, info in signature["inputs"].items():
        missing = MISSING[info["dtype"]]
        values = [missing if row.get(column) is None else row[column] for row in rows]
        if len(dimensions := info["tensor_shape"]["dim"]) > 1:
            values = [fill_up(value, int(dimensions[1]["size"]), missing) for value in values]
        columns[column] = values
    return {"signature_name": SIGNATURE, "inputs": columns}


def fill_up(values: Any, places: int, missing: Any) -> list[Any]:
    """The first values of a list, and what means missing behind them."""
    return [*(values if isinstance(values, list) else [values])[:places], *[missing] * places][:places]


def call(address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The reply to a GET, or to a POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


if __name__ == "__main__":
    sys.exit(main())
