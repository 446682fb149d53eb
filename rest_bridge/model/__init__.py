"""Networks in torch (extra `train`); nothing in the runtime imports this package."""
