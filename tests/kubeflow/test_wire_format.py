"""A text that goes to a cluster and comes back; no process, no TFX."""

import bz2
import itertools
import json
import random
import subprocess
import sys

import pytest

from foundation.sections import ConfigurationError
from pipeline.kubeflow import wire_format
from tests.kubeflow.replacements import argo, kubernetes

NASTY = [
    "", "{", "{{", "{{{", "{{{{$}}}}", "{{$.inputs.parameters['folder']}}", "{{=1 + 1}}", "{{workflow.name}}",
    "$", "$$", "$$$", "$(", "$(HOME)", "$$(HOME)", "$$$(HOME)", "a$", "{$({", "$({{", "}}", "{ {", "$ (",
    "¦", "¦¦", "{¦{", "{¦¦{", "$¦(", "$¦$", "¦{{", "{{¦", "¦ 9 characters in SETTING_", '{"a": "¦"}',
    json.dumps({"label": {"expression": 'status == "{{won}}"'}, 'a "quoted" \\ name': "收入 $(x)"}),
    "line\nbreak\ttab\r\n", "<b>&amp;</b>", "\u2028 \U0001f680 收入", "\\u007b\\u007b", "\\{\\{", "\x00",
]  # fmt: skip
LARGE = json.dumps({f"column {number} {{{{x}}}} $(y)": {"kind": "numeric"} for number in range(2000)})


def generated(count: int) -> list[str]:
    """Texts of nothing but the characters that matter, every one up to length four and longer ones."""
    alphabet = "{$(¦}a"
    short = [
        "".join(letters) for length in range(5) for letters in itertools.product(alphabet, repeat=length)
    ]
    chance = random.Random(5)
    return short + ["".join(chance.choices(alphabet, k=chance.randint(5, 40))) for _ in range(count)]


@pytest.mark.parametrize("text", [*NASTY, LARGE, LARGE + "¦", *(2_000 * text for text in NASTY)])
def test_a_text_comes_back_as_it_was(text: str) -> None:
    shown, variables = wire_format.pack(text)
    assert wire_format.unpack(shown, variables) == text
    for travelling in (shown, *variables.values()):
        assert not wire_format.REPLACED.search(travelling)
        assert json.loads(argo(json.dumps(travelling))) == travelling
        assert kubernetes(travelling, {"HOME": "/root", "x": "1"}) == travelling


def test_every_text_of_the_dangerous_characters_comes_back() -> None:
    seen = {}
    for text in generated(5_000):
        shown = wire_format.escape(text)
        assert not wire_format.REPLACED.search(shown), text
        assert wire_format.unescape(shown) == text
        assert seen.setdefault(shown, text) == text, "two texts would share a cache entry"


@pytest.mark.parametrize(
    ("text", "argos", "kubernetes_s"),
    [
        ("{{workflow.name}} {{ workflow.name }}", "taxi-x7k2p taxi-x7k2p", None),
        ("{{=1 + 1}} {{unknown}} {{", "evaluated {{unknown}} {{", None),
        ("$(HOME) $(UNKNOWN) $(open", None, "/root $(UNKNOWN) $(open"),
        ("$$ $$(HOME) $$$(HOME) $x $", None, "$ $(HOME) $/root $x $"),
    ],
)
def test_without_packing_texts_would_be_replaced(
    text: str, argos: str | None, kubernetes_s: str | None
) -> None:
    """Keeps the judges of the test above honest."""
    assert json.loads(argo(json.dumps(text))) == (argos or text)
    assert kubernetes(text, {"HOME": "/root"}) == (kubernetes_s or text)


@pytest.mark.parametrize(
    "text", ["", "a{b}", '{"a": {"b": {}}}', "5 $", "{ {", "a¦b", "/data/{x}/$y", "收入"]
)
def test_an_ordinary_text_is_what_the_page_shows(text: str) -> None:
    assert wire_format.pack(text) == (text, {})
    assert wire_format.unescape(text) == text, "typed on KFP's page, it would arrive as another"


def test_the_page_shows_what_a_large_text_is() -> None:
    shown, variables = wire_format.pack(LARGE)
    assert len(shown) < 1_000 < len(LARGE)
    assert shown.startswith(f"¦ {len(LARGE)} characters in SETTING_")
    assert 'which begin with: {"column 0 {¦{x}} $¦(y)": {"kind": "numeric"}, "column 1' in shown
    ((variable, body),) = variables.items()
    assert variable in shown and len(body) < len(LARGE) / 10


def test_a_text_that_looks_like_a_packed_one_is_not_taken_for_one() -> None:
    """Somebody may paste what the page shows into a setting."""
    shown, variables = wire_format.pack(LARGE)
    again, none = wire_format.pack(shown)
    assert not none and wire_format.unpack(again, variables) == shown


def test_another_text_is_another_parameter_though_it_begins_and_measures_the_same() -> None:
    other = LARGE[:-20] + LARGE[-20:].replace("numeric", "cimerun")
    assert len(other) == len(LARGE) and other != LARGE
    assert wire_format.pack(other)[0] != wire_format.pack(LARGE)[0]


def test_the_parameter_does_not_depend_on_the_compressor(monkeypatch: pytest.MonkeyPatch) -> None:
    """KFP's cache key holds it, and not the environment."""
    shown, variables = wire_format.pack(LARGE)
    compress = bz2.compress
    monkeypatch.setattr(bz2, "compress", lambda content: compress(content, compresslevel=1))
    again, others = wire_format.pack(LARGE)
    assert again == shown and others != variables
    assert wire_format.unpack(shown, others) == LARGE


def test_another_process_makes_the_same_bytes() -> None:
    code = (
        "import hashlib, tests.kubeflow.test_wire_format as t, pipeline.kubeflow.wire_format as w;"
        "print(hashlib.sha256(repr(w.pack(t.LARGE)).encode()).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1


@pytest.mark.parametrize("damage", [dict.clear, lambda v: v.update(dict.fromkeys(v, "QlpoOTE=")),
                                    lambda v: v.update(dict.fromkeys(v, "not base64"))])  # fmt: skip
def test_a_large_text_that_did_not_arrive_is_one_sentence(damage: object) -> None:
    shown, variables = wire_format.pack(LARGE)
    damage(variables)  # type: ignore[operator]
    with pytest.raises(
        ConfigurationError, match=r"SETTING_[0-9a-f]{64} is missing or damaged: compile and upload"
    ):
        wire_format.unpack(shown, variables)
