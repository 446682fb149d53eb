"""From audio tokens to motion latents (A2V-DiT) and from latents to frames (decoder)."""
