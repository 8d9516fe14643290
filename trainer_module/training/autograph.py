"""Keeps AutoGraph from translating libraries' own sources, at every first fit and save (trap 5).

TensorFlow's list of modules that AutoGraph must leave alone names `keras` but not `tf_keras`, so it
transpiles some hundred library functions that need no translation: 30 s instead of 9 s for the first
fit of TFX's taxi template on two cores. TFT's layer needs it as little (TFT itself traces with AutoGraph
off): 2.2 s of processor time instead of 3.4 s for the export. There is no public way to add to the list.
"""

import tensorflow as tf


def leave_keras_alone() -> bool:
    """Adds `tf_keras` and TFT to AutoGraph's do-not-convert list; does nothing where they are there already.

    Returns:
      Whether the list was found and lacked `tf_keras`: once False, half of this module can go.
    """
    try:
        from tensorflow.python.autograph.core import config
    except ImportError:
        tf.get_logger().info("AutoGraph's conversion rules have moved; the first fit may be slow.")
        return False
    known = {str(rule) for rule in config.CONVERSION_RULES}
    rules = [config.DoNotConvert(name) for name in ("tf_keras", "tensorflow_transform")]
    lacking = [rule for rule in rules if str(rule) not in known]
    config.CONVERSION_RULES = (*lacking, *config.CONVERSION_RULES)
    return rules[0] in lacking
