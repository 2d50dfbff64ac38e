"""Learn how much time each layer gets from the graph of layers, to know it for another network.

The actor and the critic see a layer as its neighbours make it: its own sizes and times, mixed a few
times with those of the layers that it reads and of those that read it. Nothing of this depends on
the number of layers, so that what was learnt on one network is where the next one begins.

Yu et al., "Auto Graph Encoder-Decoder for Neural Network Pruning" (AGMC), ICCV 2021. Here the
encoder is trained with the actor and the critic, which learn as in `tvm_sparse.planning.ddpg`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.ddpg import Agent, learnt, perceptron
from tvm_sparse.planning.problem import Problem, Selection
from tvm_sparse.planning.strategies import Task

_STATIC, _MOVING = 8, 4  # features of a layer, and those that change on the way
_EMBEDDED, _ROUNDS = 16, 3
_WARM = 0.25  # of the trials, for a policy that knows nothing yet


def agmc(task: Task) -> Selection:
    """Return the best selection that was tried.

    With `Task.policy`, what was learnt is read from that file, if it exists, and written to it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        actor, critic = (GraphPolicy(task, acts) for acts in (True, False))
    known = task.policy is not None and task.policy.exists()
    if known:
        _load(task.policy, actor, critic)
    chosen = learnt(task, Agent(actor, critic), 0.0 if known else _WARM)
    if task.policy is not None:
        torch.save([actor.state_dict(), critic.state_dict()], task.policy)
    return chosen


class GraphPolicy(nn.Module):
    """Judges states of `tvm_sparse.planning.ddpg.walk` by the graph of layers.

    Parameters
    ----------
    task : Task
    acts : bool
        Whether it returns actions; else it values states with actions behind them.
    """

    def __init__(self, task: Task, acts: bool) -> None:
        super().__init__()
        features, links = _features(task), _links(task.problem)
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("before", _shares(links.T), persistent=False)
        self.register_buffer("after", _shares(links), persistent=False)
        self.first = nn.Linear(_STATIC, _EMBEDDED)
        self.rounds = nn.ModuleList(nn.Linear(3 * _EMBEDDED, _EMBEDDED) for _ in range(_ROUNDS))
        inputs = _EMBEDDED + _MOVING + (not acts)
        self.judge = perceptron(inputs, nn.Sigmoid() if acts else nn.Identity())

    def forward(self, states: Tensor) -> Tensor:
        """Return a number for each state, shape (batch, 1)."""
        layers = self.embedded()
        places = (states[:, 0] * len(layers)).round().long()
        found: Tensor = self.judge(torch.cat([layers[places], states[:, 7:]], 1))
        return found

    def embedded(self) -> Tensor:
        """Return the layers, shape (layers, embedded)."""
        x = torch.relu(self.first(self.get_buffer("features")))
        before, after = self.get_buffer("before"), self.get_buffer("after")
        for mix in self.rounds:
            x = x + torch.relu(mix(torch.cat([x, before @ x, after @ x], 1)))
        return x


def _features(task: Task) -> Tensor:
    """Return what is known of each layer: sizes as logarithms, times as shares."""
    rows = []
    dense = task.problem.total(task.problem.dense, task.resource)
    for slot in task.problem.slots:
        layer, cost = slot.layer, slot.of(task.resource)
        sizes = layer.filters, layer.channels, layer.positions, layer.taps, layer.stride[0]
        logs = [float(torch.tensor(float(size)).log2()) / 10 for size in sizes]
        shares = [cost[0] / dense, cost.min() / max(cost[0], 1e-12), task.limit / dense]
        rows.append([*logs, *(float(share) for share in shares)])
    return torch.tensor(rows, dtype=torch.float32)


def _links(problem: Problem) -> Tensor:
    """Return which layers read which: 1 at (writer, reader); a chain where nothing is known."""
    number = len(problem.slots)
    links = torch.zeros(number, number)
    chain = [(place, place + 1) for place in range(number - 1)]
    for writer, reader in problem.links or chain:
        links[writer, reader] = 1
    return links


def _shares(links: Tensor) -> Tensor:
    """Return rows that sum to 1, or are empty."""
    return links / links.sum(1, keepdim=True).clamp(min=1)


def _load(path: Path | None, actor: nn.Module, critic: nn.Module) -> None:
    try:
        states = torch.load(path, weights_only=True)  # type: ignore[arg-type]
        for module, state in zip((actor, critic), states, strict=True):
            module.load_state_dict(state)
    except Exception as error:  # torch raises whatever the file leads it to
        raise PlanError(
            f"cannot read the policy {path}: expected a file that the strategy agmc wrote"
        ) from error
