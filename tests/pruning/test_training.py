from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.batch_norm import re_estimate
from tvm_sparse.pruning.masks import Masks
from tvm_sparse.pruning.training import Training, distillation, fine_tune

Optimizer = Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": lambda p, rate: torch.optim.SGD(p, rate, 0.9, weight_decay=0.1, nesterov=True),
    "adam": lambda p, rate: torch.optim.Adam(p, rate, weight_decay=0.1, amsgrad=True),
    "adamw": lambda p, rate: torch.optim.AdamW(p, rate, weight_decay=0.1),
    "rmsprop": lambda p, rate: torch.optim.RMSprop(p, rate, momentum=0.9, weight_decay=0.1),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def batches(number: int = 4) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    found = []
    for _ in range(number):
        x = torch.randn(32, 8)
        found.append((x, x[:, :3].argmax(1)))
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zeros_and_their_optimizer_state_stay_exactly_zero(name: str) -> None:
    model, data = network(), batches()
    used: list[torch.optim.Optimizer] = []

    def optimizer(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        used.append(OPTIMIZERS[name](parameters, rate))
        return used[0]

    ts.prune(model, {"2": "one_by_n-4@0.25"})
    weight = model[2].weight
    assert isinstance(weight, nn.Parameter)
    zeros, before = weight.detach() == 0, weight.detach().clone()
    fine_tune(model, Training(batches=data, epochs=2, rate=0.01, optimizer=optimizer))
    assert zeros.float().mean() == 0.75
    assert weight.detach()[zeros].abs().max() == 0
    assert (weight.detach()[~zeros] != before[~zeros]).all()
    states = [v for v in used[0].state[weight].values() if v.shape == weight.shape]
    assert states
    for state in states:
        assert state[zeros].abs().max() == 0
        assert state[~zeros].abs().max() > 0


def test_masks_clear_a_state_that_the_optimizer_had_before() -> None:
    model, data = network(), batches()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    loss = nn.functional.cross_entropy(model(data[0][0]), data[0][1])
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    ts.prune(model, {"2": "unstructured@0.5"})
    Masks(model).attach(optimizer)
    weight = model[2].weight
    assert isinstance(weight, nn.Parameter)
    zeros = weight == 0
    optimizer.step()  # with the gradients of before
    assert weight[zeros].abs().max() == 0
    assert optimizer.state[weight]["exp_avg"][zeros].abs().max() == 0


def test_training_learns_and_tells_how_far_it_is() -> None:
    model, data, told = network(), batches(), []
    training = Training(
        batches=data, epochs=20, rate=0.1, tell=lambda done, steps, _: told.append((done, steps))
    )
    fine_tune(model, training)
    assert told == [(i + 1, 80) for i in range(80)]
    right = [(model(x).argmax(1) == y).float().mean() for x, y in data]
    assert sum(map(float, right)) / len(right) > 0.9
    assert not model.training


def test_a_teacher_alone_is_imitated() -> None:
    teacher = fine_tune(network(), Training(batches=batches(), epochs=20, rate=0.1))
    torch.manual_seed(5)
    student = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    wrong = [(x, torch.zeros_like(y)) for x, y in batches()]
    training = Training(batches=wrong, epochs=40, rate=0.1, teacher=teacher, share=1.0)
    fine_tune(student, training)
    x = torch.cat([x for x, _ in wrong])
    assert (student(x).argmax(1) == teacher(x).argmax(1)).float().mean() > 0.9


def test_distillation_is_the_divergence_of_softened_outputs() -> None:
    outputs, wanted = torch.randn(5, 4), torch.randn(5, 4)
    p, q = (wanted / 2).softmax(1), (outputs / 2).softmax(1)
    expected = 4 * (p * (p / q).log()).sum() / 5
    torch.testing.assert_close(distillation(outputs, wanted, 2.0), expected)
    assert distillation(wanted, wanted, 2.0) == pytest.approx(0, abs=1e-6)


def test_batch_norm_gets_the_moments_of_the_data_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    model.train()
    model[3].eval()
    before = copy.deepcopy(model.state_dict())
    data = [x for x, _ in batches()]
    assert re_estimate(model, data) is model
    y = [model[0](x) for x in data]
    torch.testing.assert_close(norm.running_mean, torch.stack([v.mean(0) for v in y]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([v.var(0) for v in y]).mean(0))
    assert (model.training, model[3].training, norm.momentum) == (True, False, 0.1)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


@pytest.mark.parametrize(
    ("data", "message"),
    [([], "holds no batch"), (iter([torch.zeros(2, 8)]), "give a list of batches")],
)
def test_data_that_cannot_be_read_is_refused(data: object, message: str) -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6))
    with pytest.raises(PruningError, match=message):
        re_estimate(model, data)  # type: ignore[arg-type]


def test_training_without_batches_or_with_a_loss_that_explodes_is_refused() -> None:
    with pytest.raises(PruningError, match="no batches"):
        fine_tune(network(), Training(batches=[]))
    infinite = [(torch.full((2, 8), math.inf), torch.zeros(2, dtype=torch.int64))]
    with pytest.raises(PruningError, match="lower the learning rate"):
        fine_tune(network(), Training(batches=infinite))
