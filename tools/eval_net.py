"""Evaluates a config: ``eval_net.py --config X --weights W`` is ``facezoo eval X --weights W``."""

import argparse
import sys

from facezoo.cli import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All else is as `facezoo eval --help` says."
    )
    parser.add_argument("--config", required=True, help="name, YAML file or run folder")
    known, rest = parser.parse_known_args()
    sys.exit(main(["eval", known.config, *rest]))
