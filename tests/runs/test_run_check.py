from pathlib import Path

import pytest

from facezoo.runs.run_check import check_run

WRONG = [
    ("data.train=null", "data.train: a run needs it; give it a mapping with 'dataset'"),
    ("optimizer=null", "optimizer: a run needs it; give it a mapping with 'type'"),
    ("schedule=null", "schedule: a run needs it"),
    ("train.accumulate=3", "data.batch_size (8) is not a multiple of train.accumulate (3)"),
    ("train.max_steps=null", "Nothing ends the run"),
    ("train.seed=-1", "train.seed is -1; give 0 or more (command line)"),
    ("evaluation.protocol=vgaa", "evaluation.protocol: "),
    ("evaluation.protocols.near=long", "evaluation.protocols.near: The protocol 'long' is"),
    ("data.val=null", "hooks.evaluation needs a validation set: give data.val"),
]


@pytest.mark.parametrize(("override", "sentence"), WRONG)
def test_each_problem_of_a_run_is_said_once(override: str, sentence: str) -> None:
    (problem,) = check_run("tiny_test", [override])
    assert problem.startswith(sentence)
    assert problem.count("(command line)") <= 1


WARM = ["schedule.warmup=0.5", "schedule.warmup_momentum=0.5"]


@pytest.mark.parametrize("optimizer", ["type: torch.Adagrad", "type: torch.SGD, momentum: 0"])
def test_momentum_that_an_optimizer_lacks_is_told_before_the_run(optimizer: str) -> None:
    override = f"optimizer={{{optimizer}, lr: 0.1}}"
    (problem,) = check_run("tiny_test", [override, *WARM])
    assert problem.startswith("schedule.warmup_momentum is 0.5, but ")
    assert problem.endswith("or leave it out (command line)")
    assert check_run("tiny_test", [override]) == []


def test_optimizers_with_momentum_or_a_fault_have_no_problem_more() -> None:
    for kind in ("torch.AdamW", "torch.SGD"):
        given = [f"optimizer={{type: {kind}, lr: 0.1}}"]
        given += ["optimizer.momentum=0.9"] if kind == "torch.SGD" else []
        assert check_run("tiny_test", [*given, *WARM]) == []
    (problem,) = check_run("tiny_test", ["optimizer={type: torch.Adagrad, lrr: 1, lr: 1}", *WARM])
    assert "lrr" in problem
    (problem,) = check_run(
        "tiny_test",
        [
            "optimizer={type: torch.SGD, lr: 0}",
            "schedule.warmup=0.5",
            "schedule.warmup_bias_lr=0.1",
        ],
    )
    assert problem.startswith("schedule.warmup_bias_lr is 0.1, but optimizer.lr is 0")


def test_a_sound_run_has_no_problem() -> None:
    assert check_run("tiny_test") == []
    assert check_run("tiny_test", ["data.val=null", "hooks.evaluation=null"]) == []


def test_problems_of_parts_and_of_the_run_come_together() -> None:
    problems = check_run("tiny_test", ["model.neck.chanels=8", "schedule=null", "data.val=null"])
    assert len(problems) == 3


def test_the_config_of_a_run_is_checked_without_its_plug_ins(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("_BASE_: tiny_test\nimports: [a_module_of_a_stranger]\n")
    (problem,) = check_run(tmp_path)
    assert "allow-imports" in problem
    (problem,) = check_run(str(tmp_path), allow_imports=True)
    assert "cannot be imported" in problem


def test_a_model_with_a_problem_hides_none_of_the_optimizer() -> None:
    problems = "\n".join(
        check_run(
            "tiny_test", ["model.neck.chanels=3", "optimizer.lrr=1", "optimizer.type=torch.AdmW"]
        )
    )
    assert "chanels" in problems and "AdmW" in problems
    problems = "\n".join(check_run("tiny_test", ["model.neck.chanels=3", "optimizer.lrr=1"]))
    assert "lrr" in problems
