"""Actions, authorisation, schema and validators of the extension."""
