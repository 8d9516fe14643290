"""Tables of events as columns: from CSV, Parquet and TFRecord files to serialized tf.Examples.

Where TFX's ExampleGen hands each row through Python, these modules hand over whole columns
(pyarrow, numpy), and what they write is the same byte for byte.
"""
