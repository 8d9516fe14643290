"""Times that are written as ISO 8601 has it, read by TensorFlow."""

import tensorflow as tf

_DAY = (
    r"\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    # Of years that can be divided by 4, and of full centuries by 400.
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
)
_CLOCK = r"(?:[01]\d|2[0-4]):[0-5]\d(?::(?:[0-5]\d|60)(?:[.,]\d+)?)?"
PATTERN = rf"(?:{_DAY})(?:[T ]{_CLOCK})?(?:Z|[+-]\d\d:?(?:\d\d)?)?"
"""Of a whole text, for RE2 and for Python: a day that there is, and where there are any, time and offset from UTC."""

_PARTS = r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?(?:Z|([+-])(\d\d):?(\d\d)?)?"
"""The numbers and the sign of such a text."""


def seconds_of(texts: tf.Tensor) -> tf.Tensor:
    """float64 seconds since 1970 in UTC, of whole seconds; NaN where a text is no time. A time without offset is UTC.

    Args:
      texts: string of any shape.
    """
    is_time = tf.strings.regex_full_match(texts, PATTERN)
    texts = tf.where(is_time, texts, "1970-01-01")

    def group(number: int) -> tf.Tensor:
        return tf.strings.regex_replace(texts, f"^{_PARTS}$", rf"\{number}")

    def part(number: int) -> tf.Tensor:
        found = group(number)
        return tf.strings.to_number(tf.where(tf.equal(found, ""), "0", found), tf.int64)

    year, month, day, hour, minute, second = (part(number) for number in range(1, 7))
    offset = (part(8) * 60 + part(9)) * 60 * tf.where(tf.equal(group(7), "-"), tf.constant(-1, tf.int64), 1)
    seconds = _days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    return tf.where(is_time, tf.cast(seconds, tf.float64), tf.constant(float("nan"), tf.float64))


def _days_since_1970(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """The Gregorian calendar, in years that begin in March, so that leap days are last."""
    year = year - tf.cast(month <= 2, tf.int64)
    month = (month + 9) % 12
    # Days before a month that is counted from March: 31, 61, 92, ...
    before = (month * 153 + 2) // 5
    return year * 365 + year // 4 - year // 100 + year // 400 + before + day - 1 - 719468
