"""The report as a document: what it says, before anyone lays it out."""
