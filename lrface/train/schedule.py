"""The learning-rate schedule. The rate depends only on the step."""

import math

from lrface.train.recipe import OptimSection


def learning_rate(section: OptimSection, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step counted from 0: warm-up, then the paper's steps or half a cosine."""
    epoch = step / steps_per_epoch
    if epoch < section.warmup_epochs:
        return section.lr * min((step + 1) / (section.warmup_epochs * steps_per_epoch), 1.0)
    if section.schedule == "step":
        return section.lr * section.gamma ** sum(epoch >= milestone for milestone in section.milestones)
    part = (epoch - section.warmup_epochs) / max(section.epochs - section.warmup_epochs, 1e-9)
    return section.lr * 0.5 * (1 + math.cos(math.pi * min(part, 1.0)))
