//! The practice cluster through the unmodified `kube` client. What is said here of the protocol holds for a real control plane too.

mod access;
mod faults;
mod keeping;
mod metrics;
mod objects;
mod patches;
mod pods;
mod watches;
mod workloads;
mod world;
