"""A small real upstream for the shipped runbooks: an API, a GraphQL endpoint, a page."""
