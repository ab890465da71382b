"""Neural encoders, losses and training: the only folder that imports torch."""
