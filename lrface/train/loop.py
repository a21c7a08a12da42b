"""The training loop: steps, checkpoints, validation, resume."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from lrface.data.pair_set import PairSet
from lrface.embedder import Embedder, TorchNetwork
from lrface.errors import LrfaceError
from lrface.preprocessing import Preprocessing
from lrface.recipe import Recipe
from lrface.train.batches import Batch, Batches
from lrface.train.checkpoint import load_checkpoint, restore, save_checkpoint
from lrface.train.interrupt import Interrupt
from lrface.train.log import RunLog
from lrface.train.objective import Objective
from lrface.train.schedule import learning_rate
from lrface.train.validation import validate

LAST, BEST = "last.ckpt", "best.ckpt"
LOG_EVERY = 20  # steps
SAVE_EVERY = 120.0  # seconds


@dataclass
class Progress:
    """How far a run is; part of every checkpoint."""

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains an objective.

    Args:
        recipe: what to do.
        fabric: device, precision, processes.
        objective: the losses around the student, on the CPU.
        batches: the data.
        preprocessing: of the student, for validation.
        pairs: validation pairs, or None.
        store_fingerprint: of the data, recorded in checkpoints.
        out: the run's folder.
    """

    def __init__(
        self, recipe: Recipe, fabric: Fabric, objective: Objective, batches: Batches, preprocessing: Preprocessing,
        pairs: PairSet | None, store_fingerprint: str, out: Path,
    ) -> None:  # fmt: skip
        self.recipe, self.fabric, self.batches, self.out = recipe, fabric, batches, out
        self.preprocessing, self.pairs, self.store_fingerprint = preprocessing, pairs, store_fingerprint
        self.objective = objective
        section = recipe.optim
        optimizer = torch.optim.SGD(
            objective.parameters(),
            section.lr,
            section.momentum,
            weight_decay=section.weight_decay,
            nesterov=section.nesterov,
        )
        self.module, self.optimizer = fabric.setup(objective, optimizer)
        self.average = _average(objective.student, section.average)
        self.progress = Progress()
        self._bad_step = torch.full((), -1, device=fabric.device)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.recipe.optim.epochs * self.batches.steps

    def run(self, log: RunLog) -> bool:
        """Train to the end, or until interrupted.

        Returns:
            Whether the end was reached.

        Raises:
            LrfaceError: a term became NaN or infinite.
        """
        with Interrupt() as interrupt:
            saved = time.monotonic()
            for epoch in range(self.progress.step // self.batches.steps, self.recipe.optim.epochs):
                self.module.train()
                for batch in self.batches.epoch(epoch, self.progress.step % self.batches.steps):
                    self._step(batch, log)
                    # One process decides for all, or they would part.
                    stop, due = self.fabric.broadcast((interrupt.requested, time.monotonic() - saved > SAVE_EVERY))
                    if stop or due:
                        self.save(LAST)
                        saved = time.monotonic()
                    if stop:
                        log.say(f"interrupted after step {self.progress.step}; --resume goes on from there")
                        return False
                self._finish_epoch(epoch, log)
                saved = time.monotonic()
        return True

    def _step(self, batch: Batch, log: RunLog) -> None:
        section, progress = self.recipe.optim, self.progress
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(section, progress.step, self.batches.steps)
        terms, embeddings = self.module(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(terms["loss"])
        if section.clip_norm:
            self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=section.clip_norm, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.objective.remember(*self._gather(embeddings.detach(), batch.labels, batch.index))
        if self.average is not None:
            self.average.update_parameters(self.objective.student)
        progress.step += 1
        self._watch(terms)
        log.advance(section.batch_size)
        if progress.step % LOG_EVERY == 0 or progress.step == 1:
            values = self._check(terms)
            log.write("train", progress.step, values, epoch=(progress.step - 1) // self.batches.steps + 1)

    def _gather(self, *tensors: Tensor) -> list[Tensor]:
        """The rows of all processes, in the same order everywhere."""
        if self.fabric.world_size == 1:
            return list(tensors)
        gathered: list[Tensor] = [self.fabric.all_gather(tensor) for tensor in tensors]  # type: ignore[misc]
        return [tensor.flatten(0, 1) for tensor in gathered]

    def _watch(self, terms: dict[str, Tensor]) -> None:
        """Note the first step with a term that is not finite, without waiting for the device."""
        bad = ~torch.isfinite(torch.stack([value.detach() for value in terms.values()])).all()
        self._bad_step = torch.where((self._bad_step < 0) & bad, self.progress.step, self._bad_step)

    def _check(self, terms: dict[str, Tensor] | None = None) -> dict[str, float]:
        """The terms as numbers; stop if any has not been finite since the run began."""
        values = {name: float(value) for name, value in (terms or {}).items()}
        step = int(self._bad_step)
        if step >= 0:
            wrong = [name for name, value in values.items() if value - value != 0 and name != "loss"]
            last = self.out / LAST
            good = f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
            raise LrfaceError(
                f"the loss is not finite since step {step} ({', '.join(wrong) or 'loss'}); {good}: lower optim.lr, "
                "add optim.warmup_epochs or optim.clip_norm, then --resume or begin anew"
            )
        return values

    def _finish_epoch(self, epoch: int, log: RunLog) -> None:
        self._check()
        last = epoch + 1 == self.recipe.optim.epochs
        if self.pairs is not None and (last or (epoch + 1) % self.recipe.validation.every == 0):
            result = validate(self.embedder(), self.pairs)
            values = {"accuracy": result.accuracy, "std": result.std, "auc": result.auc, "eer": result.eer}
            self.progress.history.append({"epoch": epoch + 1, **values})
            log.write("validation", self.progress.step, values, epoch=epoch + 1)
            log.say(f"epoch {epoch + 1}: validation accuracy {100 * result.accuracy:.2f} %, AUC {result.auc:.4f}")
            if result.accuracy > self.progress.best:
                self.progress.best, self.progress.best_step = result.accuracy, self.progress.step
                self.save(BEST)
        self.save(LAST)

    def student(self) -> torch.nn.Module:
        """The network whose weights count: the running average if there is one."""
        return self.average.module if self.average is not None else self.objective.student

    def embedder(self) -> Embedder:
        """The student as it is now, ready to embed."""
        network = TorchNetwork(self.student(), str(self.fabric.device))
        return Embedder(network, self.preprocessing, f"step {self.progress.step}", {})

    def save(self, name: str) -> None:
        """Write a checkpoint, from the first process."""
        self._check()
        if self.fabric.is_global_zero:
            content = {
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "progress": vars(self.progress),
                "recipe": self.recipe.model_dump(mode="json"),
                "preprocessing": self.preprocessing.as_dict(),
                "store": self.store_fingerprint,
                "rng": torch.get_rng_state(),
            }
            save_checkpoint(self.out / name, content)
        self.fabric.barrier()

    def load(self, name: str) -> None:
        """Go back to a checkpoint. Raises LrfaceError if it is missing or of another run."""
        path = self.out / name
        content: dict[str, Any] = load_checkpoint(path, self.recipe.model_dump(mode="json"), self.store_fingerprint)
        restore(self.objective, content["objective"], path)
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average is not None:
            restore(self.average, content["average"], path)
        self.progress = Progress(**content["progress"])
        torch.set_rng_state(content["rng"])


def _average(student: torch.nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    if not decay:
        return None
    return torch.optim.swa_utils.AveragedModel(
        student, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay), use_buffers=True
    )
