"""What apps know of the kinds of features: a file for each, named as in `trainer_module.features`.

The file of a kind that is named by an import path has underscores for its dots. It is shipped beside the model,
so it imports the standard library only, and has

    levels(feature)
        Where it is a quantity: values of its first column in the model's input, which must not fall as the quantity
        grows. For each, the exporter asks the model where it is exceeded. May be left out.
    describe(feature, crossings, terms)
        What its entry in `features.json` says besides "name", "kind", where it has ids, "missing_id", and, of a
        quantity, its "type": "integer", or "decimal", which is a float32 before anything is calculated. A number
        may say what is "missing"; otherwise the model is asked. `feature` is the learner's, `terms` are those of its vocabulary. `crossings` has three
        pairs (quantity, model's input) for each of `levels`: the last that does not exceed it, the first that
        does, and one far above. Raises ValueError where the model's answers make no sense.
    encoder(entry, fingerprint64)
        A function from a value that is not missing to the model's input: an id, a number, or a list of numbers.
        `fingerprint64` hashes bytes; it is handed over, because a shipped file does not know its neighbours.

A file `<kind>.mjs` beside it, for JavaScript, exports `encoder(entry)`.
"""
