"""The object store. boto3 lives here and nowhere else."""
