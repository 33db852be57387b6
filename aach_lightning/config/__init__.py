"""The typed configuration: what keys there are, what they may hold, and what that means."""
