"""Any config on drawn faces: a run that needs no data and shows that everything fits together."""

from __future__ import annotations

from facezoo.config import Config, load_config

SAMPLE_NOTE = "sample run on synthetic faces"
SAMPLE_STEPS = 10
SAMPLE_IMAGES = {"train": 64, "val": 16}
SAMPLE_SIDE = 256
SAMPLE_BATCH = 4


def sample_config(source: Config) -> Config:
    """Returns the config with its data swapped for ``SyntheticFaces`` and a run of 10 steps.

    Images of 256 px in batches of 4; model, transforms, losses, optimizer and hooks stay.
    """
    data = load_config(source, [f"data.image_size={SAMPLE_SIDE}"]).data
    for split, count in SAMPLE_IMAGES.items():
        data["data"][split]["dataset"] = {
            "type": "SyntheticFaces",
            "seed": 0 if split == "train" else 1,
            "num_images": count,
            "image_size": SAMPLE_SIDE,
        }
    data["data"] |= {"batch_size": SAMPLE_BATCH, "workers": 0}
    data["train"] |= {
        "epochs": None,
        "max_steps": SAMPLE_STEPS,
        "max_samples": None,
        "log_every": 1,
    }
    data["evaluation"]["protocol"] = "original"
    config = load_config(data)
    config.name = source.name
    return config
