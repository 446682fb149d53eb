"""Cuts a user's own talking-head videos into clips and sessions for training."""
