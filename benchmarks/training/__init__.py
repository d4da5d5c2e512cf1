"""What `heed train` needs of the machine."""
