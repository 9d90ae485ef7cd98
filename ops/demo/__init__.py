"""The demo city: real open data, made restricted data, the main job played over HTTP (``ops.demo.main``)."""
