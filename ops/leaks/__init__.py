"""The leak matrix: what is planted, who may know it, and every way in which somebody could be told.

Used by tests only; see tests/leaks and tests/ckanext/test_leak_matrix.py.
"""
