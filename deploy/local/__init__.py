"""The whole platform on one machine, started and watched by one command."""
