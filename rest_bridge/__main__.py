"""Makes `python -m rest_bridge` the same as the `rest-bridge` command."""

from rest_bridge.cli import main

if __name__ == "__main__":
    main()
