//! What the cluster looks like now: the objects that the watches have brought, indexed by the
//! Service they belong to. Pure: it is fed changes and says which Services they touched.
