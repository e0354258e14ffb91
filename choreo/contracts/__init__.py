"""Events as contracts: what their annotations say, in the words of Avro."""
