"""``facezoo train``: train what one or several configs describe."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.cli.options import (
    add_model,
    add_options,
    add_verb,
    chosen,
    is_override,
    split_overrides,
)
from facezoo.errors import ConfigError
from facezoo.writing import print_metrics, print_whole, stdout

if TYPE_CHECKING:
    from facezoo.runs.run import TrainResult

NAME = "train"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "train what one or several configs describe",
        "Train a config, or several one after another, which ends with one table of comparison. A\n"
        "config is the name of a model in the zoo or a YAML file; key=value changes what it says.\n"
        "A step whose loss is not finite leaves its batch in the folder replay of the run, which\n"
        "tools/replay.py takes apart.",
        "  facezoo train quickstart\n"
        "  facezoo train retinaface_r50 data.root=data/widerface train.epochs=20 --out runs/first\n"
        "  facezoo train retinaface_r50 --out runs/first --resume\n"
        "  facezoo train mine.yaml hooks.ema=null model.neck.channels=128 --check\n"
        "  facezoo train a.yaml b.yaml --sample\n"
        "  facezoo train mine.yaml --profile 20",
    )
    words = "name or YAML file; or key=value"
    add_model(parser, "words", nargs="+", metavar="CONFIG", help=words)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        metavar="RUN|CKPT",
        help="go on with the run in --out, else the latest of this config; or with the one named",
    )
    add_options(parser, "facezoo.runs.run:train", "init_from", "out", "sample", "allow_imports")
    parser.add_argument(
        "--check", action="store_true", help="build everything, report every error, train nothing"
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the merged config with the origin of each value, train nothing",
    )
    parser.add_argument(
        "--profile",
        type=int,
        metavar="N",
        help="watch N steps with torch's profiler and write to RUN/profile what takes the time",
    )
    parser.add_argument("--replay", metavar="FILE", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains, or only checks or prints."""
    words, resume = arguments.words, arguments.resume
    if isinstance(resume, str) and is_override(resume):
        words, resume = [resume, *words], True
    sources, overrides = split_overrides(words)
    if not sources:
        raise ConfigError("There is no config among the words; name a model or a YAML file.")
    if arguments.replay is not None:
        raise ConfigError(
            "--replay is no longer an option; run: python tools/replay.py "
            f"{sources[0]} {arguments.replay}"
        )
    if arguments.profile is not None:
        if arguments.profile < 1:
            raise ConfigError(f"--profile is {arguments.profile}; profile at least 1 step.")
        profile = f"hooks.profile={{type: Profile, steps: {arguments.profile}}}"
        overrides = [*overrides, profile]
    if arguments.check:
        return _check(sources, overrides, arguments.allow_imports)
    if arguments.print_config:
        return _print(sources, overrides, arguments.allow_imports)
    return _train(sources, resume, {"overrides": overrides, **chosen(arguments)})


def _train(sources: Sequence[str], resume: str | bool | None, options: dict[str, Any]) -> int:
    from facezoo.runs.run import train, train_many

    if len(sources) == 1:
        results = [train(sources[0], resume=resume, **options)]
    elif isinstance(resume, str):
        raise ConfigError(f"--resume {resume} is one run, but several configs are to be trained.")
    else:
        results = train_many(sources, resume=bool(resume), **options)
    if os.environ.get("RANK", "0") != "0":  # of several processes the first one speaks
        return 0
    if len(results) == 1:
        note = f" ({results[0].note})" if results[0].note else ""
        metrics = {name: x for name, x in results[0].metrics.items() if name.startswith("val/")}
        if metrics:
            print_metrics(f"{results[0].name}: validation{note}", metrics)
    else:
        _print_comparison(results, options["out"])
    for one in results:
        if not one.failure:
            stdout().print(f"{one.name}: weights in {one.folder / 'checkpoints'}")
        if (one.folder / "eval").is_dir():
            stdout().print(f"{one.name}: pictures and curves in {one.folder / 'eval'}")
    return int(any(one.failure for one in results))


def _print_comparison(results: Sequence[TrainResult], out: Path | None) -> None:
    from facezoo.runs.model_comparison import (
        compare_models,
        comparison_table,
        table_remarks,
        write_model_table,
    )

    comparison = compare_models(results)
    print_whole(comparison_table(comparison))
    for sentence in table_remarks(comparison):
        stdout().print(sentence)
    if out is not None:
        write_model_table(comparison, out)
        stdout().print(f"The comparison is in {out / 'comparison.json'} and comparison.md.")


def _print(sources: Sequence[str], overrides: Sequence[str], allow_imports: bool) -> int:
    from facezoo.runs.run_config import open_config

    for config in [open_config(source, overrides, allow_imports) for source in sources]:
        stdout().print(config.to_yaml(origins=True).rstrip())
    return 0


def _check(sources: Sequence[str], overrides: Sequence[str], allow_imports: bool) -> int:
    from facezoo.runs.run_check import check_run

    problems = [one for source in sources for one in check_run(source, overrides, allow_imports)]
    if problems:
        raise ConfigError(problems)
    for source in sources:
        stdout().print(f"{source}: everything can be built.")
    return 0
