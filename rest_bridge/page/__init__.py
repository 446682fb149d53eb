"""The control page: what a browser may ask of the daemon, and the page itself (`static`)."""
