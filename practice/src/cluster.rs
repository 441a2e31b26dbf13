//! One running cluster: its state behind one lock, and what its parts share.

use crate::audit::Trail;
use crate::auth::Tokens;
use crate::controllers::Work;
use crate::exec::Programs;
use crate::exposition::Counters;
use crate::faults::Faults;
use crate::store::Store;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the lock guards. Nobody holds it across a wait.
pub(crate) struct State {
    pub store: Store,
    pub work: Work,
    pub trail: Trail,
}

pub(crate) struct Cluster {
    pub name: String,
    pub address: String,
    pub speed: Duration,
    pub tokens: Tokens,
    pub admin_token: String,
    pub faults: Faults,
    pub programs: Programs,
    /// Of the metrics that only grow.
    pub counters: Mutex<Counters>,
    state: Mutex<State>,
    /// There is something for the controllers to do.
    pub wake: Notify,
    /// Counts the times that the controllers came to rest.
    pub rest: watch::Sender<u64>,
    pub stop: CancellationToken,
    /// The listener and the controllers.
    pub tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Cluster {
    pub fn new(
        name: String,
        address: String,
        speed: Duration,
        admin_token: String,
        state: State,
    ) -> Arc<Cluster> {
        let tokens = Tokens::default();
        tokens.add_admin(&admin_token);
        Arc::new(Cluster {
            name,
            address,
            speed,
            tokens,
            admin_token,
            faults: Faults::default(),
            programs: Programs::default(),
            counters: Mutex::default(),
            state: Mutex::new(state),
            wake: Notify::new(),
            rest: watch::Sender::new(0),
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
        })
    }

    /// The state. A panic while it was held has been reported already; the state is as good as the last finished write.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
