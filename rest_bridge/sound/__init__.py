"""Sound devices of this computer: what there is, by name, and the libraries that open them."""
