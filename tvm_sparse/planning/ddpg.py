"""Learn how much time each layer gets: an actor walks through the layers, a critic judges it.

An action is the share of a layer's dense time that it may take; it gets the option of least error
that keeps to this. A wall holds the action between what lets all later layers be in time, at their
fastest, and 1. When all layers have theirs, the network's score is the reward of every step.

He et al., "AMC: AutoML for Model Compression and Acceleration on Mobile Devices", ECCV 2018, with
deep deterministic policy gradients of Lillicrap et al., ICLR 2016. AMC's state holds operations;
here it holds times, and the wall is one of latency.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from tvm_sparse.planning.problem import Array, Selection, Slot
from tvm_sparse.planning.search import starts
from tvm_sparse.planning.strategies import Task

FEATURES = 11
_WARM = 0.25  # share of the trials whose actions are drawn evenly
_NOISE = 0.4  # deviation of the first actions after that; it falls to a tenth
_RATES = 1e-3, 3e-3  # of the actor and of the critic
_FOLLOW = 0.02  # how much of the networks their slow copies take on each step
_BATCH, _STEPS = 64, 4  # steps of learning after each trial

Policy = Callable[[Array], float]
"""Takes a state of shape (features,), returns the share of the dense time, 0 to 1."""


def ddpg(task: Task) -> Selection:
    """Return the best selection that was tried; without a score, its badness is the error."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        agent = Agent(perceptron(FEATURES, nn.Sigmoid()), perceptron(FEATURES + 1, nn.Identity()))
    return learnt(task, agent)


def learnt(task: Task, agent: Agent, warm: float = _WARM) -> Selection:
    """Return the best selection that was tried while an agent learns.

    Parameters
    ----------
    task : Task
    agent : Agent
    warm : float
        Share of the trials whose actions are drawn evenly.
    """
    scored = {chosen: task.badness(chosen) for chosen in starts(task)}
    rng = np.random.default_rng(task.seed)
    usual, worst = float(np.median(list(scored.values()))), 2 * max(scored.values())
    for trial in range(task.trials):
        task.tell("learning times", trial, task.trials)
        after = (trial / task.trials - warm) / (1 - warm)
        noise = _NOISE * 0.1 ** max(after, 0)

        def act(state: Array, noise: float = noise, after: float = after) -> float:
            if after < 0:
                return float(rng.random())
            return float(np.clip(agent.act(state) + noise * rng.standard_normal(), 0, 1))

        chosen, states, actions = walk(task, act)
        if chosen not in scored:
            scored[chosen] = task.badness(chosen) if task.fits(chosen) else worst
        agent.learn(states, actions, -scored[chosen] / max(usual, 1e-12), rng)
    task.tell("learning times", task.trials, task.trials)
    return min(scored, key=lambda chosen: scored[chosen])


def walk(task: Task, policy: Policy) -> tuple[Selection, Array, Array]:
    """Return what a policy selects within the limit, the states that it saw, and its actions.

    Returns
    -------
    selection : tuple of int
    states : array of shape (layers with a choice + 1, features)
        The last one is the end.
    actions : array of shape (layers with a choice,)
        Within the wall.
    """
    slots = task.problem.slots
    costs = task.problem.alone(task.resource)
    after = np.cumsum([0.0, *(cost.min() for cost in reversed(costs))])[::-1][1:]
    left, last, reduced = task.limit - task.problem.fixed(task.resource), 1.0, 0.0
    chosen, states, actions = [], [], []
    for place, (slot, cost, rest) in enumerate(zip(slots, costs, after, strict=True)):
        at = 0
        if len(cost) > 1:
            dense = sum(float(one[0]) for one in costs[place + 1 :])
            states.append(_state(slot, place / len(slots), cost[0], reduced, dense, left, last))
            at, last = _within(slot.errors, cost, policy(states[-1]), left - float(rest))
            actions.append(last)
        chosen.append(at)
        left, reduced = left - float(cost[at]), reduced + float(cost[0] - cost[at])
    return tuple(chosen), np.array([*states, np.zeros(FEATURES)]), np.array(actions)


def _within(errors: Array, cost: Array, action: float, most: float) -> tuple[int, float]:
    """Return the option of least error that an action allows within the wall, and the action."""
    low = float(cost.min())
    share = float(np.clip(action, low / cost[0], max(most, low) / cost[0]))
    fitting = np.flatnonzero(cost <= max(share * cost[0], low) * (1 + 1e-9))
    return int(fitting[np.argmin(errors[fitting])]), min(share, 1.0)


def _state(
    slot: Slot, place: float, cost: float, reduced: float, dense: float, left: float, last: float
) -> Array:
    """Return what the actor sees of a layer; sizes as logarithms, times as shares."""
    layer = slot.layer
    whole = max(cost + dense + left, 1e-12)
    sizes = layer.filters, layer.channels, layer.positions, layer.stride[0], *layer.kernel
    logs = [float(np.log2(size)) / 10 for size in sizes]
    return np.array([place, *logs, cost / whole, reduced / whole, dense / whole, last])


@dataclass
class Agent:
    """An actor and a critic, and the steps that they learn from.

    Parameters
    ----------
    actor, critic : Module
        Of states (batch, features), and of these with actions behind them; both return (batch, 1).
    """

    actor: nn.Module
    critic: nn.Module
    steps: list[tuple[Array, float, float, Array, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the slow copies."""
        self.slow = deepcopy((self.actor, self.critic))
        both = zip((self.actor, self.critic), _RATES, strict=True)
        self.optimizers = [torch.optim.Adam(one.parameters(), rate) for one, rate in both]

    def act(self, state: Array) -> float:
        """Return the actor's action in a state."""
        with torch.no_grad():
            return float(self.actor(torch.tensor(state, dtype=torch.float32)[None]))

    def learn(self, states: Array, actions: Array, reward: float, rng: np.random.Generator) -> None:
        """Add the steps of a walk, and learn from some of all."""
        for at, action in enumerate(actions):
            end = float(at + 1 == len(actions))
            self.steps.append((states[at], float(action), reward, states[at + 1], end))
        for _ in range(_STEPS if self.steps else 0):
            drawn = [self.steps[i] for i in rng.integers(len(self.steps), size=_BATCH)]
            columns = zip(*drawn, strict=True)
            self._step(*(torch.tensor(np.array(c), dtype=torch.float32) for c in columns))

    def _step(
        self, states: Tensor, actions: Tensor, rewards: Tensor, following: Tensor, ends: Tensor
    ) -> None:
        actor, critic = self.slow
        with torch.no_grad():
            later = critic(torch.cat([following, actor(following)], 1))[:, 0]
            target = torch.where(ends > 0, rewards, later)
        said = self.critic(torch.cat([states, actions[:, None]], 1))[:, 0]
        self._descend(1, nn.functional.mse_loss(said, target))
        self._descend(0, -self.critic(torch.cat([states, self.actor(states)], 1)).mean())
        for slow, fast in zip(self.slow, (self.actor, self.critic), strict=True):
            for one, other in zip(slow.parameters(), fast.parameters(), strict=True):
                one.data.lerp_(other.data, _FOLLOW)

    def _descend(self, which: int, loss: Tensor) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[which].step()


def perceptron(inputs: int, end: nn.Module, hidden: int = 64) -> nn.Sequential:
    """Return a network of two hidden layers with one output, which a module ends."""
    inner = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*inner, nn.Linear(hidden, 1), end)
