"""Many runs of one recipe that differ in some of its keys, and one table and one curve of them."""
