"""Which part does what: agents with one part changed at a time, and how many bits the learning rule needs."""
