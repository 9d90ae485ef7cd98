"""Payments: bank transfers and Stripe behind one way of recording what arrived."""
