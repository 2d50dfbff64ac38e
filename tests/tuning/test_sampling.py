from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from support import tuning
from tvm_sparse.tuning import features, sampling


def test_a_trace_makes_the_decisions_of_its_sample() -> None:
    task = tuning.task()
    for sample in tuning.samples(task, 5):
        trace = sampling.decided(task, sample).trace
        again = Schedule(sampling.workload(task))
        trace.apply_to_schedule(again, remove_postproc=True)
        assert sampling.sample_of(again) == sample
        assert sampling.identity_of(again.mod) == task.identity


def test_a_mutation_makes_one_decision_anew() -> None:
    task = tuning.task()
    trace, mutator = sampling.decided(task, task.default).trace, sampling.Redecide(1)
    reached: set[str] = set()
    for _ in range(30):
        sch = Schedule(sampling.workload(task))
        mutated = mutator.apply(trace)  # type: ignore[call-arg]  # TVM gives the rest
        mutated.apply_to_schedule(sch, remove_postproc=True)
        point = sampling.sample_of(sch).point
        (name,) = [name for name in point if point[name] != task.default.point[name]]
        reached.add(name)
    assert reached == {"registers", "plane", "chunk"}


def test_the_search_proposes_only_samples_that_fit() -> None:
    task = tuning.task()
    context = sampling.context(task, seed=1)
    model = ms.cost_model.XGBModel(
        extractor=features.KernelFeatures(task.target), num_warmup_samples=8
    )
    context.pre_tuning(32, 16, database=ms.database.MemoryDatabase(), cost_model=model)
    seen: set[str] = set()
    for _ in range(2):
        found = context.generate_measure_candidates()
        proposed = [sampling.sample_of(candidate.sch) for candidate in found]
        chosen = [task.chosen(sample) for sample in proposed]
        times = [choice.kernel.seconds for choice in chosen if choice is not None]
        assert len(times) == len(found) > 8
        results = [ms.runner.RunnerResult([seconds], None) for seconds in times]
        model.update(context, found, results)
        context.notify_runner_results(found, results)
        seen.update(map(str, proposed))
    assert len(seen) > 20
