"""CKAN as a WSGI application for the production server. Runs in CKAN's processes; imports nothing of ours."""

import ctypes
import os
import signal
import sys
from logging.config import fileConfig

if sys.platform == "linux":
    # A server's worker must not outlive the server's main process (PR_SET_PDEATHSIG = 1).
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)

from ckan.cli import CKANConfigLoader
from ckan.config.middleware import make_app

_ini = os.environ["CKAN_INI"]
fileConfig(_ini, disable_existing_loggers=False)
application = make_app(CKANConfigLoader(_ini).get_config())
