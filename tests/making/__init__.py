"""What the tests make for themselves: pictures, clips, networks, and runs of the command."""
