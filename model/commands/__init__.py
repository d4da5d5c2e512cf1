"""The subcommands of `heed` that train, export and classify."""
