"""Runs a command as if this computer had no AVX-512 and no AMX: a laptop's instructions."""
