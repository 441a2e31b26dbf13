//! HorizontalPodAutoscalers: what one says, what a workload's metrics say about a better one. Deciding is
//! `forecast::capacity`; here is only reading.

mod question;
mod spec;

pub(crate) use question::{NoStudy, Study, Wish, outlook, study};
pub(crate) use spec::{PREVIOUS, autoscaler, changed, of_workload, previous, written};
