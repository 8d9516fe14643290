"""What every layer uses: sections of configuration and their errors, choices, atomic replacement, locks, processes."""
