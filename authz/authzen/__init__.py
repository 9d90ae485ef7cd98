"""AuthZEN requests read and answered; the routes are in ``authz.routes.authzen``."""
