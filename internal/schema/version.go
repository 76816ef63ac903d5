package schema

// Version numbers the dictionary. It grows when a field changes its name, type,
// unit, sensitivity or closed set of values, so that a reader of old records can
// tell what a column meant when it was written; a new field or alias does not
// change it. A test holds it against a fingerprint of the fields. Segments carry
// it; 0 is one that does not say.
const Version = 1
