"""CKAN plugin: the catalogue, its pages and the enforcement inside CKAN."""
