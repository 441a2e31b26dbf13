//! HorizontalPodAutoscalers: what one says, what a workload's metrics say about a better one. Deciding is
//! `forecast::capacity`; here is only reading.

mod floors;
mod question;
mod spec;

pub(crate) use floors::{FLOORS, Floors};
pub(crate) use question::{NoStudy, Outlook, RESOURCE, Study, Wish, outlook, points, ready_after, study};
pub(crate) use spec::{PREVIOUS, autoscaler, changed, of_workload, previous, written};
