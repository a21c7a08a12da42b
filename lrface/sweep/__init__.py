"""Many runs of one recipe that differ in some of its keys, with one table and one curve of their results."""
