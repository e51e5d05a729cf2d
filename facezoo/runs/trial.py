"""Any config on drawn faces: a run that needs no data and shows that everything fits together."""

from __future__ import annotations

from facezoo.config.config import Config, load_config

SAMPLE_NOTE = "sample run on synthetic faces"
SAMPLE_STEPS = 10
SAMPLE_IMAGES = {"train": 64, "val": 16}
SAMPLE_SIDE = 256
SAMPLE_BATCH = 4


def sample_config(source: Config) -> Config:
    """Returns the config with ``SyntheticFaces`` for its data, and a run of 10 steps at most.

    Images of 256 px in batches of 4; model, transforms, losses, optimizer and hooks stay. The
    backbone starts anew, as nothing that ten steps can show is worth a download.
    """
    overrides = [
        f"data.image_size={SAMPLE_SIDE}",
        f"data.batch_size={SAMPLE_BATCH}",
        "data.workers=0",
        "train.epochs=null",
        f"train.max_steps={min(SAMPLE_STEPS, source.get('train.max_steps') or SAMPLE_STEPS)}",
        "train.max_samples=null",
        "train.accumulate=1",
        "train.log_every=1",
        "evaluation.protocol=original",
    ]
    overrides += [
        f"data.{split}.dataset={{_delete_: true, type: SyntheticFaces, seed: {seed}, "
        f"num_images: {count}, image_size: {SAMPLE_SIDE}}}"
        for seed, (split, count) in enumerate(SAMPLE_IMAGES.items())
        if source.get(f"data.{split}") is not None
    ]
    if source.get("model.backbone.pretrained"):
        overrides.append("model.backbone.pretrained=false")
    return load_config(source, overrides)
