"""TFX components that TFX itself does not have, one file each."""
