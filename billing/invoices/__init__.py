"""Invoices: closing a month, states, credit notes, the usage behind each line."""
