"""Billing: usage, meters, ceilings and rate cards, rating, ledger, invoices, payments, settlement."""
