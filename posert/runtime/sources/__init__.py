"""Where frames come from; one adapter a file."""
