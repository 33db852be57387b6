"""A target as a service over HTTP: what is answered to whom, and what it costs."""
