"""The demo city: real open data, made restricted data, and the main job played against the running system."""
