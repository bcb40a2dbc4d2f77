"""Values in, strings out: plans and reports for people and for machines. Prints nothing."""
