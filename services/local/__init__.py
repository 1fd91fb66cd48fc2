"""The whole system on one machine, on embedded real servers. For developers, tests and the demo; never for production."""
