"""Trains a config: ``train_net.py --config X [...]`` is ``facezoo train X [...]``."""

import argparse
import sys

from facezoo.cli import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All else is as `facezoo train --help` says."
    )
    parser.add_argument("--config", required=True, nargs="+", help="name or YAML file")
    known, rest = parser.parse_known_args()
    sys.exit(main(["train", *known.config, *rest]))
