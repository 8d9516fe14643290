"""Metrics of rows from batches, by array operations, as TFMA would measure them row by row.

What is measured stays TFMA's: its `EvalConfig` says what is asked for, its computations derive AUC and the like from
sums, its writers write what its readers read. Only the sums are taken here: of a whole batch, for all slices at once,
after each model has answered the batch once. They are merged on Beam, so one core, several processes and Flink
run the same step, and memory does not grow with the rows.
"""

import tensorflow_model_analysis as tfma

if not hasattr(tfma, "EvalConfig"):
    # TFMA 0.52 has its protocol buffers' names only once TFX's components have put them there, and Beam's workers
    # import this package alone.
    import tfx.components  # noqa: F401
