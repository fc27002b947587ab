"""Entry point of the command line: `swath ...` and `python -m swath ...`."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from swath.cli.app import run_app

    sys.exit(run_app())


if __name__ == "__main__":
    main()
