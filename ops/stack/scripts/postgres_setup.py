"""Roles, databases and permissions of a running PostgreSQL: ``python postgres_setup.py HOME PORT``. Safe to repeat."""

import sys

from ops.stack.home import Home
from ops.stack.postgres import provision

if __name__ == "__main__":
    provision(Home.at(sys.argv[1]), int(sys.argv[2]))
