"""Renderers of training faces with true flow, landmarks and rig values."""
