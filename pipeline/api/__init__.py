"""The API and the pages: each endpoint is one call of a service."""
