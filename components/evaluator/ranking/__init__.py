"""How good recommendations are: ranks of what users really took next, in the whole catalogue."""
