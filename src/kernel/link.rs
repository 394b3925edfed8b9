//! The dummy link `kube-ipvs0` and the virtual addresses on it.
