//! What the server's thread and the handles share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::access::User;
use crate::fault::Faults;
use crate::record::Recorded;
use crate::server::Command;
use crate::store::Store;

/// How a server starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether requests need a known token and a role. Without it everybody may do everything.
    pub rbac: bool,
    /// Whether `sendInitialEvents` is served, or refused as by a server without that feature.
    pub watch_list: bool,
    /// Time between bookmarks on a watch; Kubernetes sends about one a minute.
    pub bookmark_interval: Duration,
    /// Who asks when a request carries no token.
    pub without_token: User,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rbac: false,
            watch_list: true,
            bookmark_interval: Duration::from_mins(1),
            without_token: User::anonymous(),
        }
    }
}

/// A connection that ends without a proper answer, as told.
#[derive(Debug, thiserror::Error)]
#[error("cut off on command")]
pub struct CutOff;

/// Everything that changes.
#[derive(Debug)]
pub struct State {
    pub config: Config,
    pub store: Store,
    pub faults: Faults,
    pub requests: Vec<Recorded>,
    pub tokens: HashMap<String, User>,
}

#[derive(Debug)]
pub struct Shared {
    pub address: SocketAddr,
    /// A new number cuts all watches.
    pub cut: watch::Sender<u64>,
    pub commands: mpsc::UnboundedSender<Command>,
    state: Mutex<State>,
}

impl Shared {
    pub fn new(
        address: SocketAddr,
        config: Config,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let state = Mutex::new(State {
            config,
            store: Store::default(),
            faults: Faults::default(),
            requests: Vec::new(),
            tokens: HashMap::new(),
        });
        Self {
            address,
            cut: watch::Sender::new(0),
            commands,
            state,
        }
    }

    /// The state, locked. Never held across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cut_watches(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}
