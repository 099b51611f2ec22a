"""Independent references of the fuzzer and of the tests; none shares code with what it is compared with."""
