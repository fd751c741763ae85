"""The benchmarks of benchbeat itself: `make bench`, or `python -m tests.performance --help`."""

from tests.performance.command import main

main()
