//! Firewalls that let nothing through to IPVS unless told so. Nobody can go around them, so people are
//! told.

use tracing::{debug, warn};

use super::served::Served;
use crate::config::Settings;
use crate::kernel::nft;
use crate::serve::events::Reason;

/// Looks for them, and tells of each.
pub fn look(settings: &Settings, served: &Served) {
    let closed = match nft::closed() {
        Ok(closed) => closed,
        Err(error) => {
            debug!("firewalls cannot be looked for: {error}");
            return;
        }
    };
    served.metrics.closed_chains(closed.len());
    for chain in closed {
        let note = format!(
            "{chain} drops by default what it does not accept, before IPVS sees it: services work only \
             for packets that it accepts (see \"Before\" in docs/migrate.md)"
        );
        warn!("{note}");
        let what = chain.to_string();
        served.tell(settings, Reason::FirewallDropsByDefault, &what, &note);
    }
}
