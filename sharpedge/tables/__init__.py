"""Tables for people: scored files, results of the journal, films of a patient over time."""
