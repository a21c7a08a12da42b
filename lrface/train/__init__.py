"""Training: the objective, the loop, the teacher's cache, checkpoints."""
