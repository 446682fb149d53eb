"""The paper's size: LTX-type video VAE and 28-block DiT, for a GPU. Torch; never imported live."""
