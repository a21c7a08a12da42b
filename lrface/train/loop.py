"""The training loop: steps, checkpoints, validation, resuming."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from torch import Tensor

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.losses.split_margin import SplitMargin
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.runtimes.torch import TorchNetwork
from lrface.train.batches import Batch, Batches
from lrface.train.checkpoint import load_checkpoint, restore, save_checkpoint
from lrface.train.interrupt import Interrupt
from lrface.train.log import RunLog
from lrface.train.objective import Objective
from lrface.train.recipe import Recipe
from lrface.train.schedule import learning_rate
from lrface.train.split_state import cut_state, whole_state
from lrface.train.validation import validate

LAST, BEST = "last.ckpt", "best.ckpt"
LOG_EVERY = 20  # steps
SAVE_EVERY = 120.0  # seconds
NEVER = torch.iinfo(torch.int64).max


@dataclass
class Progress:
    """The progress of a run; part of every checkpoint."""

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains an objective.

    Args:
        recipe: the settings of the run.
        fabric: device, precision, processes.
        objective: the student and the losses, on the CPU.
        batches: the data loader.
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
        optimizers = _optimizers(objective, recipe)
        self.module = fabric.setup_module(objective)
        self.optimizers: list[Any] = [fabric.setup_optimizers(optimizer) for optimizer in optimizers]
        self.average = _average(objective.student, recipe.optim.average)
        self.progress = Progress()
        self._saved_centres: Tensor | None = None  # all centres of a split classifier, as last saved or loaded
        self._terms: tuple[str, ...] = ()
        # For each term the first step with a NaN or infinite value.
        self._first_bad = torch.full((), NEVER, device=fabric.device)

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.recipe.optim.epochs * self.batches.steps

    def run(self, log: RunLog) -> bool:
        """Train to the end, or until interrupted.

        Returns:
            Whether the end was reached.

        Raises:
            LrfaceError: a term became NaN or infinite, or a checkpoint cannot be written.
        """
        with Interrupt() as interrupt:
            saved = time.monotonic()
            for epoch in range(self.progress.step // self.batches.steps, self.recipe.optim.epochs):
                self.module.train()
                for batch in self.batches.epoch(epoch, self.progress.step % self.batches.steps):
                    self._step(batch, log)
                    if self.progress.step % self.batches.steps == 0:
                        continue  # the last step of an epoch is saved together with its validation
                    # The first process decides for all, so that all of them do the same.
                    stop, due = self.fabric.broadcast((interrupt.requested, time.monotonic() - saved > SAVE_EVERY))
                    if stop or due:
                        self.save(LAST)
                        saved = time.monotonic()
                    if stop:
                        return self._interrupted(log)
                self._finish_epoch(epoch, log)
                saved = time.monotonic()
                if self.progress.step < self.total_steps and self.fabric.broadcast(interrupt.requested):
                    return self._interrupted(log)
        return True

    def _interrupted(self, log: RunLog) -> bool:
        log.message(f"interrupted after step {self.progress.step}; --resume goes on from there")
        return False

    def _step(self, batch: Batch, log: RunLog) -> None:
        section, progress = self.recipe.optim, self.progress
        factor = learning_rate(section, progress.step, self.batches.steps) / section.lr
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["full_lr"]
            optimizer.zero_grad(set_to_none=True)
        terms, embeddings = self.module(batch)
        self.fabric.backward(terms["loss"])
        if section.clip_norm:
            self.fabric.clip_gradients(
                self.module, self.optimizers[0], max_norm=section.clip_norm, error_if_nonfinite=False
            )
        for optimizer in self.optimizers:
            optimizer.step()
        self.objective.remember(*self._gather(embeddings.detach(), batch.labels, batch.index))
        if self.average is not None:
            self.average.update_parameters(self.objective.student)
        progress.step += 1
        self._watch(terms)
        log.advance(section.batch_size)
        if progress.step % LOG_EVERY == 0 or progress.step == 1:
            self._check_terms()
            log.write("train", progress.step, self._mean(terms), epoch=(progress.step - 1) // self.batches.steps + 1)

    def _gather(self, *tensors: Tensor) -> list[Tensor]:
        """Gather the rows of all processes in the order of the whole batch. Each process has every ``world``-th row."""
        if self.fabric.world_size == 1:
            return list(tensors)
        gathered: list[Tensor] = [self.fabric.all_gather(tensor) for tensor in tensors]  # type: ignore[misc]
        return [tensor.transpose(0, 1).flatten(0, 1) for tensor in gathered]

    def _mean(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The terms as numbers, averaged over the processes like their gradients."""
        values = self.fabric.all_reduce(torch.stack([value.detach() for value in terms.values()]))
        return dict(zip(terms, values.tolist(), strict=True))  # type: ignore[union-attr]

    def _watch(self, terms: dict[str, Tensor]) -> None:
        """Record the first step at which each term is NaN or infinite, without waiting for the device."""
        self._terms = tuple(terms)
        bad = ~torch.isfinite(torch.stack([value.detach() for value in terms.values()]))
        self._first_bad = torch.where(bad & (self._first_bad == NEVER), self.progress.step, self._first_bad)

    def _check_terms(self) -> None:
        """Stop if a term was NaN or infinite at any step so far, in any process."""
        first: Tensor = self.fabric.all_reduce(self._first_bad.clone(), reduce_op="min")  # type: ignore[assignment]
        step = int(first.min())
        if step < NEVER:
            wrong = [name for name, at in zip(self._terms, first.tolist(), strict=True) if at == step]
            self._give_up(f"the loss is not finite since step {step} ({', '.join(wrong)})")

    def _check_weights(self) -> None:
        """Stop if a weight is NaN or infinite. A gradient can be infinite while its loss is still finite."""
        student = self.objective.student
        tensors = [*self.objective.parameters(), *(each for each in student.buffers() if each.is_floating_point())]
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all().to(torch.int32)
        if not bool(
            self.fabric.all_reduce(finite, reduce_op="min")
        ):  # each process has other centres of a split classifier
            self._give_up(f"the weights are not finite after step {self.progress.step}")

    def _give_up(self, what: str) -> NoReturn:
        last = self.out / LAST
        good = f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
        raise LrfaceError(
            f"{what}; {good}: lower optim.lr or set optim.clip_norm and --resume, "
            "or begin anew with optim.warmup_epochs"
        )

    def _finish_epoch(self, epoch: int, log: RunLog) -> None:
        self._check_terms()
        self._check_weights()
        last = epoch + 1 == self.recipe.optim.epochs
        if self.pairs is not None and (last or (epoch + 1) % self.recipe.validation.every == 0):
            values = self._validate(self.pairs)
            self.progress.history.append({"epoch": epoch + 1, **values})
            log.write("validation", self.progress.step, values, epoch=epoch + 1)
            accuracy = values["accuracy"]
            auc = f", AUC {values['auc']:.4f}" if "auc" in values else ""
            log.message(f"epoch {epoch + 1}: validation accuracy {100 * accuracy:.2f} %{auc}")
            if accuracy > self.progress.best:
                self.progress.best, self.progress.best_step = accuracy, self.progress.step
                self.save(BEST)
        self.save(LAST)

    def _validate(self, pairs: PairSet) -> dict[str, float]:
        """Validate in the first process and send the result to all. The processes have different batch statistics."""
        values: dict[str, float] = {}
        if self.fabric.is_global_zero:
            result = validate(self.embedder(), pairs)
            values = {"accuracy": result.accuracy, "std": result.std, "auc": result.auc, "eer": result.eer}
        return self.fabric.broadcast(values)

    def student(self) -> torch.nn.Module:
        """The network whose weights are evaluated and saved: the running average if there is one."""
        return self.average.module if self.average is not None else self.objective.student

    def embedder(self, student: torch.nn.Module | None = None) -> Embedder:
        """The present student, or another network of the same kind, as an embedder."""
        network = TorchNetwork(student or self.student(), str(self.fabric.device))
        return Embedder(network, self.preprocessing, f"step {self.progress.step}", {})

    def save(self, name: str) -> None:
        """Write a checkpoint from the first process. Raises LrfaceError if any of its numbers is NaN or infinite."""
        self._check_terms()
        self._check_weights()
        objective, optimizers = whole_state(self.objective, self.optimizers)  # all processes take part
        if isinstance(self.objective.head, SplitMargin):
            self._saved_centres = objective["head.weight"]
        if self.fabric.is_global_zero:
            content = {
                "objective": objective,
                "optimizers": optimizers,
                "average": None if self.average is None else self.average.state_dict(),
                "progress": vars(self.progress),
                "recipe": self.recipe.model_dump(mode="json"),
                "preprocessing": self.preprocessing.as_dict(),
                "store": self.store_fingerprint,
                "rng": torch.get_rng_state(),
            }
            save_checkpoint(self.out / name, content)
        self.fabric.barrier()

    def centres(self) -> Tensor | None:
        """All centres of the classifier, float32 ``[classes, dim]``, or None; of a split one as last saved or loaded."""
        head = self.objective.head
        if head is None or isinstance(head, SplitMargin):
            return self._saved_centres
        return head.weight.detach()

    def load(self, name: str) -> None:
        """Load a checkpoint. Raises LrfaceError if it is missing or belongs to another run."""
        path = self.out / name
        content: dict[str, Any] = load_checkpoint(path, self.recipe.model_dump(mode="json"), self.store_fingerprint)
        if isinstance(self.objective.head, SplitMargin):
            self._saved_centres = content["objective"]["head.weight"]
            cut_state(self.objective, self.optimizers, content)
        restore(self.objective, content["objective"], path)
        for optimizer, state in zip(self.optimizers, content["optimizers"], strict=True):
            rates = [group["full_lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["full_lr"] = rate  # the recipe's value, which may have been lowered
        if self.average is not None:
            restore(self.average, content["average"], path)
        self.progress = Progress(**content["progress"])
        torch.set_rng_state(content["rng"])


def _optimizers(objective: Objective, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """SGD for the network and its classifier, Adam for the critic. The learning-rate schedule scales ``full_lr``."""
    section = recipe.optim
    critic = objective.critic_parameters()
    known = {id(parameter) for parameter in critic}
    network = [parameter for parameter in objective.parameters() if id(parameter) not in known]
    sgd = torch.optim.SGD(
        [{"params": network, "full_lr": section.lr}],
        section.lr, section.momentum, weight_decay=section.weight_decay, nesterov=section.nesterov,
    )  # fmt: skip
    if not critic or recipe.loss.crrcd is None:
        return [sgd]
    return [sgd, torch.optim.Adam([{"params": critic, "full_lr": recipe.loss.crrcd.lr}], recipe.loss.crrcd.lr)]


def _average(student: torch.nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    if not decay:
        return None
    return torch.optim.swa_utils.AveragedModel(
        student, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay), use_buffers=True
    )
