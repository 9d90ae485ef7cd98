"""What every package needs to act at all: who calls, when, in which transaction, with what evidence.

It lives in the lowest package because imports go one way (``ops -> billing -> licensing -> authz``).
"""
