"""Runs the evaluation: `python -m rest_bridge.training.evaluation`."""

import sys

from rest_bridge.training.evaluation.command import main

if __name__ == "__main__":
    sys.exit(main())
