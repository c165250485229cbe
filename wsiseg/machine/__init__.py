"""The machine: cores, memory, containers, the allocator, locks, and files that are whole or absent."""
