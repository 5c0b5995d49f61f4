"""The training task of a network model: batches of series, the loss, the history."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from bids_dtg.array_types import Float64, Mask
from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.objective import Noise, Terms, loss_of, terms_of
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.training.loop import Task, restored_random_state, torch_seed

if TYPE_CHECKING:
    from bids_dtg.dynamics.kernels import Memory

# Numbers of independent random streams, added to the seed.
_WEIGHTS = 0
_BATCHES = 1
_NOISE = 2
_JUDGING = 3
_JUDGING_SAMPLES = 8  # posterior samples for the held-out ELBO
_LOOKS = 20  # evaluations of the held-out ELBO over all epochs
_EPSILON = 1e-7  # of Adam, the default of Keras
_GRADIENT_LIMIT = 1000.0  # largest absolute value of a gradient element
# Frames of all series and epochs together from which on compiled kernels save more than the ten
# seconds that compiling them takes.
_LONG = 2_000_000


class NetworkTask(Task):
    """One training of a network model.

    Parameters
    ----------
    networks
        People to train on.
    trained
        (people, regions): whether a series is trained on; the others are held out.
    recipe
        Architecture and training of the model.
    seed
        Seed of weights, batches and noise.
    identity
        Digest of everything that past epochs depend on, stored in checkpoints.
    report
        Receives a line of text after each epoch.
    """

    series: Tensor  # (people, regions, frames)
    network_input: Tensor  # (people, regions, frames)

    def __init__(
        self,
        networks: Networks,
        trained: Mask,
        recipe: Recipe,
        *,
        seed: int,
        identity: str,
        report: Callable[[str], None],
    ) -> None:
        super().__init__(report)
        self.recipe = recipe
        self.seed = seed
        self.identity = identity
        # (series, 2), numbers of person and region.
        self.trained = torch.as_tensor(np.argwhere(trained))
        self.held_out = torch.as_tensor(np.argwhere(~trained))
        self._records: list[tuple[Tensor, Tensor]] = []
        self._memory: Memory | None = None  # of compiled kernels; None: plain PyTorch
        torch.manual_seed(torch_seed(seed, _WEIGHTS))
        self.model = NetworkModel(recipe, *networks.series.shape)
        self.register_buffer(
            "series", torch.as_tensor(networks.series), persistent=False
        )
        network = torch.as_tensor(networks.network_input)
        self.register_buffer("network_input", network, persistent=False)

    def items(self, pairs: Tensor) -> Items:
        """Return series by their (person, region) numbers."""
        person, region = pairs.to(self.series.device).unbind(1)
        # Contiguous in memory by frame, which is how the encoders read them.
        return Items(
            self.series[person, region].T.contiguous(),
            self.network_input[person, region].T.contiguous(),
            person,
        )

    def train_dataloader(self) -> DataLoader[Tensor]:
        rng = np.random.default_rng((self.seed, _BATCHES, self.current_epoch))
        order = torch.as_tensor(rng.permutation(len(self.trained)))
        batches = torch.split(self.trained[order], self.recipe.batch_size)
        # Lightning would treat a bare sequence as several loaders. A loader draws a random number,
        # which its own generator keeps out of the stream of the noise.
        return DataLoader(
            batches,  # type: ignore[arg-type]
            batch_size=None,
            generator=torch.Generator(),
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        learning = [p for p in self.model.parameters() if p.requires_grad]
        return KerasAdam(learning, self.recipe.learning_rate)

    def on_train_start(self) -> None:
        frames = len(self.trained) * self.series.shape[-1] * self.recipe.epochs
        if self.device.type != "cpu" or frames < _LONG:
            return
        try:
            from bids_dtg.dynamics.kernels import Memory
        except ImportError as err:  # also one that does not go with this NumPy
            self.report(f"without Numba, training takes four times as long: {err}")
        else:
            self._memory = Memory()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._records = []
        torch.manual_seed(torch_seed(self.seed, _NOISE, self.current_epoch))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.recipe.rate(self.current_epoch)

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        terms = self._terms(batch, self.recipe.samples)
        loss = loss_of(self.model, terms, *self.recipe.term_weights(self.current_epoch))
        self._records.append((loss.detach(), terms.elbo().detach().mean()))
        return self.logged(loss, len(batch))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        torch.nn.utils.clip_grad_value_(self.model.parameters(), _GRADIENT_LIMIT)

    def _terms(self, pairs: Tensor, samples: int) -> Terms:
        items = self.items(pairs)
        noise = Noise.draw(self.model, items, samples)
        posterior = self.model.infer(items, self._memory)
        compiled = self._memory is not None
        return terms_of(self.model, items, posterior, noise, compiled=compiled)

    def on_train_epoch_end(self) -> None:
        loss, elbo = torch.tensor(self._records).double().mean(0).tolist()
        epoch = {"epoch": self.current_epoch, "loss": loss, "elbo": elbo}
        if self._looks() and len(self.held_out):
            epoch["held_out_elbo"] = float(self.elbo(self.held_out).mean())
        epoch["seconds"] = round(self.epoch_seconds, 1)
        self.history.append(epoch)
        self.report(_line(epoch, self.recipe))

    def _looks(self) -> bool:
        """Return whether the held-out ELBO is computed after this epoch."""
        every = max(1, self.recipe.epochs // _LOOKS)
        epochs = self.current_epoch + 1  # trained so far
        return epochs % every == 0 or epochs == self.recipe.epochs

    @torch.no_grad()
    def elbo(self, pairs: Tensor) -> Float64:
        """Return the ELBO of some series, (pairs,), averaged over samples, with all terms in full.

        `pairs` are their (person, region) numbers. The noise is the same at each evaluation.
        """
        with restored_random_state(str(self.device)):
            torch.manual_seed(torch_seed(self.seed, _JUDGING))
            elbos = [
                self._terms(part, _JUDGING_SAMPLES).elbo().mean(0).cpu()
                for part in torch.split(pairs, self.recipe.batch_size)
            ]
        return torch.cat(elbos).double().numpy()


def _line(epoch: dict[str, float], recipe: Recipe) -> str:
    held_out = epoch.get("held_out_elbo")
    looked = f", held out {held_out:,.0f}" if held_out is not None else ""
    return (
        f"epoch {int(epoch['epoch']) + 1} of {recipe.epochs}: loss {epoch['loss']:,.0f}, "
        f"ELBO {epoch['elbo']:,.0f}{looked} ({epoch['seconds']:.0f} s)"
    )


class KerasAdam(torch.optim.Adam):
    """Adam with the update rule of Keras, with which the published model was trained.

    Keras adds epsilon to the square root before bias correction, PyTorch after it. They agree if
    epsilon is divided by the bias correction of each step.
    """

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step."""
        for group in self.param_groups:
            states = [self.state.get(parameter) for parameter in group["params"]]
            past_steps = [state["step"] for state in states if state]
            number = 1 + int(max(past_steps, default=0))
            group["eps"] = _EPSILON / math.sqrt(1.0 - group["betas"][1] ** number)
        return super().step(closure)
