"""The standard TFX way: the taxi template's work, written anew from what the template does.

Features are the template's full list (its one-hot of the month has 12 slots and fails on month 12; 13
here). Model, training, exported signatures and graph are the template's: one-hot per feature, 16 and 8
linear units, 1000 steps of 40, `tf_dataset_factory`, everything through ``from tfx import v1``.
"""
