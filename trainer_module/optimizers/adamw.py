"""Adam with weight decay beside the gradient (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019)."""

from trainer_module.optimizers import adam


class AdamW(adam.Adam):
    """Adam, with Keras's weight decay where none is given."""

    decay = 0.004
    is_for_tables = False
