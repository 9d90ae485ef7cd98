"""Licensing: open licences, applications, agreements, grants, keys, registration and certificates."""
