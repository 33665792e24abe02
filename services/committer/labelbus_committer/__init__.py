"""The committer: records label events, and proposes or writes to Studio once per sample and job."""
