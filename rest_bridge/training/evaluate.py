"""Measures the product on fixed held-out sets: see `rest_bridge.training.evaluation`.

The same as `rest-bridge evaluate product`, for whoever runs modules.
"""

import sys

from rest_bridge.training.evaluation.command import main

if __name__ == "__main__":
    sys.exit(main())
