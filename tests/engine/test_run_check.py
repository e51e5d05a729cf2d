from pathlib import Path

import pytest

from facezoo.engine.run_check import check_run

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
