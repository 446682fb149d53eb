"""Evaluation of the product on fixed held-out sets: `python -m rest_bridge.training.evaluate`."""
