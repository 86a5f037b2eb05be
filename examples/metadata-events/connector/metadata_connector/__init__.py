"""An edge connector: lists an S3 bucket and posts one metadata event for each object."""
