"""The command line: `tracejit demo`, or `python -m tracejit demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import tracejit
from tracejit.demo import demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="tracejit", description=(tracejit.__doc__ or "")[:72])
    parser.add_argument("--version", action="version", version=f"tracejit {tracejit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("demo", help="fit two models on real data, and compare backends")
    shown.add_argument("--plot", default="tracejit_demo.png", help="where the plot goes")
    shown.add_argument("--quick", action="store_true", help="fewer rounds of timing")
    shown.add_argument("--plain", action="store_true", help="plain text, also where rich is there")
    options = parser.parse_args(argv)
    demo(plot=options.plot, quick=options.quick, plain=options.plain)
    return 0


if __name__ == "__main__":
    sys.exit(main())
