"""Lets models learn eight photographs by heart: a broken loss, assigner or decoder cannot.

    python tools/overfit.py --root data/widerface_mini --out /tmp/overfit yoloface_n05 my_model.yaml

Each model, of the zoo or of a YAML file, is trained on eight photographs of the validation set of
WIDER FACE with few and large faces, without augmentation, and then has to find the faces in these
same photographs. Prints AP50 of each and writes it to ``overfit.json``; exit code 1 where one is
0.9 or less. A file's run is named by the file, without its folder and suffix.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facezoo.config.config import SUFFIXES, Config, load_config
from facezoo.runs.run import train

PHOTOGRAPHS = [
    "0--Parade/0_Parade_Parade_0_913.jpg",
    "12--Group/12_Group_Large_Group_12_Group_Large_Group_12_557.jpg",
    "13--Interview/13_Interview_Interview_On_Location_13_394.jpg",
    "19--Couple/19_Couple_Couple_19_667.jpg",
    "2--Demonstration/2_Demonstration_Protesters_2_228.jpg",
    "23--Shoppers/23_Shoppers_Shoppers_23_802.jpg",
    "35--Basketball/35_Basketball_playingbasketball_35_612.jpg",
    "45--Balloonist/45_Balloonist_Balloonist_45_733.jpg",
]
WANTED = 0.9


def overfit(model: str, root: Path, out: Path, size: int, steps: int, lr: float) -> float:
    """Returns the AP50 of a model on the photographs it was trained on.

    Args:
        model: its name in the zoo, or the path of its YAML file.
        root: a data set in the layout of WIDER FACE.
        out: the run folder.
        size: longer side of the photographs, pixels.
        steps: updates of the weights, each by all photographs.
        lr: learning rate of AdamW.
    """
    config = load_config(model)
    photographs = {
        "type": "WiderFace",
        "root": str(root),
        "split": "val",
        "landmarks": "retinaface_labels/val/label.txt",
    }
    data = {
        "_delete_": True,
        "dataset": {"type": "Subset", "dataset": photographs, "names": PHOTOGRAPHS},
        "transforms": [_letterbox(config, size)],
    }
    overrides = [
        f"data.train={json.dumps(data)}",
        f"data.val={json.dumps(data)}",
        *("data.batch_size=8", "data.workers=0", f"data.image_size={size}"),
        f"optimizer={{_delete_: true, type: torch.AdamW, lr: {lr}}}",
        "schedule={_delete_: true, type: Cosine, warmup: 0.1}",
        *("train.epochs=null", f"train.max_steps={steps}", "train.precision=fp32"),
        *("hooks.ema.decay=0.9", "hooks.evaluation.every_epochs=null", "hooks.tensorboard=null"),
        "hooks.checkpoint={every_epochs: null, best: null}",
        f"evaluation.protocol=long:{size}",
        "evaluation.evaluators=[{type: CocoAP}]",
    ]
    if config.get("model.backbone.pretrained"):
        # Learning by heart needs no start from ImageNet, and then no download either.
        overrides.append("model.backbone.pretrained=false")
    return train(model, overrides=overrides, out=out).metrics["val/coco/ap50"]


def _letterbox(config: Config, size: int) -> dict[str, Any]:
    """Returns the transform that pads a photograph as the evaluation of the model will."""
    padding = config.get("model.pixels.padding") or {}
    colour = padding.get("colour")
    value = {} if colour is None else {"value": colour}
    return {"type": "Letterbox", "size": size, "centred": padding.get("centred", False), **value}


def _run_name(model: str) -> str:
    path = Path(model)
    return path.stem if path.suffix in SUFFIXES else model


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains each model and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", help="names in the zoo, or YAML files")
    parser.add_argument("--root", type=Path, required=True, help="a data set like WIDER FACE")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run folders")
    parser.add_argument("--size", type=int, default=256, help="longer side, pixels (default: 256)")
    parser.add_argument("--steps", type=int, default=150, help="updates (default: 150)")
    parser.add_argument("--lr", type=float, default=4e-3, help="learning rate (default: 4e-3)")
    given = parser.parse_args(arguments)
    names = [_run_name(model) for model in given.models]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        parser.error(f"two models would share the run folder {twice[0]}: rename one of the files")
    found = {}
    for model, name in zip(given.models, names, strict=True):
        start = time.perf_counter()
        found[name] = overfit(
            model, given.root, given.out / name, given.size, given.steps, given.lr
        )
        print(f"{name}: AP50 {found[name]:.3f} after {time.perf_counter() - start:.0f} s")
        text = json.dumps(found, indent=2) + "\n"
        (given.out / "overfit.json").write_text(text, encoding="utf-8")
    return int(min(found.values()) <= WANTED)


if __name__ == "__main__":
    sys.exit(main())
