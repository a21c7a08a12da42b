"""Training: the objective, the training loop, the teacher cache, checkpoints."""
