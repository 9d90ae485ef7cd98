"""Prices: ceilings, rate cards under them, the price of one application."""
