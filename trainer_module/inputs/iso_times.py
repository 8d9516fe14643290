"""Times that are written as ISO 8601 has it, read by TensorFlow."""

import tensorflow as tf

PATTERN = r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?(?:Z|([+-])(\d\d):?(\d\d)?)?"
"""Of a whole text, for RE2 and for Python: date, and where there are any, time and offset from UTC."""

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def seconds_of(texts: tf.Tensor) -> tf.Tensor:
    """float64 seconds since 1970 in UTC, of whole seconds; NaN where a text is no time. A time without offset is UTC.

    Args:
      texts: string of any shape.
    """
    is_time = tf.strings.regex_full_match(texts, PATTERN)
    texts = tf.where(is_time, texts, "1970-01-01")

    def group(number: int) -> tf.Tensor:
        return tf.strings.regex_replace(texts, f"^{PATTERN}$", rf"\{number}")

    def part(number: int) -> tf.Tensor:
        found = group(number)
        return tf.strings.to_number(tf.where(tf.equal(found, ""), "0", found), tf.int64)

    year, month, day, hour, minute, second = (part(number) for number in range(1, 7))
    offset = (part(8) * 60 + part(9)) * 60 * tf.where(tf.equal(group(7), "-"), tf.constant(-1, tf.int64), 1)
    is_leap = tf.equal(year % 4, 0) & (tf.not_equal(year % 100, 0) | tf.equal(year % 400, 0))
    last = tf.gather(tf.constant(_DAYS, tf.int64), tf.clip_by_value(month, 1, 12) - 1)
    last += tf.cast(is_leap & tf.equal(month, 2), tf.int64)
    is_time &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= last)
    is_time &= (hour <= 24) & (minute <= 59) & (second <= 60)
    seconds = _days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    return tf.where(is_time, tf.cast(seconds, tf.float64), tf.constant(float("nan"), tf.float64))


def _days_since_1970(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """The Gregorian calendar, in years that begin in March, so that leap days are last."""
    year = year - tf.cast(month <= 2, tf.int64)
    month = (month + 9) % 12
    # Days before a month that is counted from March: 31, 61, 92, ...
    before = (month * 153 + 2) // 5
    return year * 365 + year // 4 - year // 100 + year // 400 + before + day - 1 - 719468
