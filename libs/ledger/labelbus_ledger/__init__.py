"""The memory that makes everything else disposable: jobs, samples, proposals, commits."""
