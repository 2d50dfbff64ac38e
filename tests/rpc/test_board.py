from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import tvm_sparse as ts
from support import emulated, faults, kernels, models
from tvm_sparse import link, targets
from tvm_sparse.bench import networks
from tvm_sparse.compiled import Compiled
from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc import tracker as trackers
from tvm_sparse.rpc.address import Address
from tvm_sparse.rpc.board import board, losses

pytestmark = [pytest.mark.arm, pytest.mark.rpc, pytest.mark.xdist_group("boards")]
PAGE = Path(__file__).parents[2] / "docs" / "boards.md"
RPI4 = targets.load("rpi4")
X = torch.randn(1, 16, 12, 12, generator=torch.Generator().manual_seed(0))


def built(target: str) -> Compiled:
    return ts.build(models.small(), target, example_inputs=X)


def test_a_board_is_listed_and_tells_what_it_is(tracker: Address, rpi4: str) -> None:
    (found,) = [one for one in trackers.boards(tracker) if one.key == rpi4]
    assert len(found.addresses) == 1
    assert found.free == 1
    with board(rpi4, tracker) as held:
        about = held.about
    assert about.machine == "aarch64"
    assert "asimd" in about.flags
    assert "asimddp" not in about.flags


def test_a_model_computes_the_same_on_a_board(tracker: Address, rpi4: str) -> None:
    with board(rpi4, tracker) as held:
        remote = held.load(built("rpi4"))
        actual, times = remote(X.numpy()), remote.seconds(X.numpy(), number=1, repeat=2)
        del remote
    kernels.assert_close(actual, models.small()(X).detach().numpy())
    assert len(times) == 2
    assert min(times) > 0


def test_a_pruned_network_computes_the_same_on_a_board(tracker: Address, rpi4: str) -> None:
    network, x = networks.network("resnet18", size=64, classes=10)
    ts.prune(network, "one_by_n-4@0.2")
    compiled = ts.build(network, "rpi4", example_inputs=(x,))
    assert sum(row.is_sparse for row in compiled.report.rows) > 15
    with board(rpi4, tracker) as held:
        actual = held.load(compiled)(x.numpy())
    kernels.assert_close(actual, network(x).detach().numpy())


def test_the_code_of_its_page_runs_on_a_board(
    tracker: Address, rpi4: str, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    here = code.replace('"192.168.1.10", 9190', f'"{tracker.host}", {tracker.port}')
    assert here != code
    shown = {"compiled": built(rpi4), "x": X.numpy()}
    exec(here, shown)
    kernels.assert_close(shown["y"], models.small()(X).detach().numpy())
    assert len(capsys.readouterr().out.split(",")) == 3  # times


def test_a_crash_ends_its_session_alone(tracker: Address, rpi4: str, tmp_path: Path) -> None:
    link.library(faults.calling("abort", "rpi4"), tmp_path / "crash.so", RPI4.triple)
    with board(rpi4, tracker) as held:
        crash = held.library(tmp_path / "crash.so")["main"]
        with pytest.raises(DeviceError, match="lost board 'rpi4'"), losses(rpi4):
            crash()
        del crash
    with board(rpi4, tracker) as held:
        assert held.about.machine == "aarch64"


def test_a_board_without_power_is_told(tracker: Address) -> None:
    with emulated.served(tracker, "cortex-a72", "doomed") as power:
        with board("doomed", tracker) as held:
            remote = held.load(built("rpi4"))
            emulated.stop(power)
            with pytest.raises(DeviceError, match="lost board 'doomed'"):
                remote(X.numpy())
            del remote


def test_code_for_features_that_a_board_lacks_is_not_sent(tracker: Address, rpi4: str) -> None:
    with board(rpi4, tracker) as held:
        with pytest.raises(DeviceError, match="lacks asimddp, asimdhp, which rpi5 needs: build"):
            held.load(built("rpi5"))
        with pytest.raises(DeviceError, match="is aarch64, the code is for x86-avx2"):
            held.load(built("x86-avx2"))


def test_a_board_that_nobody_serves_is_refused(tracker: Address) -> None:
    with (
        pytest.raises(DeviceError, match=r"knows no board 'rpi9', only .*serve --tracker"),
        board("rpi9", tracker),
    ):
        pass


def test_a_missing_tracker_is_told_with_the_command_that_starts_one() -> None:
    nowhere = Address("127.0.0.1", 9)
    with pytest.raises(DeviceError, match=r"no tracker at 127.0.0.1:9: .*rpc_tracker"):
        trackers.boards(nowhere)


def test_an_address_without_a_port_is_that_of_tvms_tracker() -> None:
    assert Address.parse("lab") == ("lab", 9190)
    assert str(Address.parse("10.0.0.2:9200")) == "10.0.0.2:9200"
    with pytest.raises(DeviceError, match="expected a tracker as HOST or HOST:PORT, got 'lab:x'"):
        Address.parse("lab:x")


def test_a_model_for_another_machine_is_exported_and_refused_here(tmp_path: Path) -> None:
    compiled = built("rpi4")
    with pytest.raises(ts.errors.TargetError, match=r"rpi4 \(aarch64-linux-gnu\), and this mach"):
        compiled(X)
    assert np.prod(compiled.inputs[0].shape) == X.numel()
