//! Firewalls that let nothing through to IPVS, or back from pods, unless told so. Nobody can go around
//! them, so people are told.

use tracing::{debug, warn};

use super::served::Served;
use crate::config::Settings;
use crate::kernel::nft::{self, Way};
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
    for way in Way::ALL {
        let chains = closed.iter().filter(|chain| chain.way == way).count();
        served.metrics.closed_chains(way.hook(), chains);
    }
    for chain in closed {
        let what = match chain.way {
            Way::In => "before IPVS sees it: services work only for packets that it accepts",
            Way::Back => {
                "of what is forwarded: pods answer others than this node only if it accepts \
                 established connections"
            }
        };
        let note = format!(
            "{chain} drops by default what it does not accept, {what} (see \"Before\" in docs/migrate.md)"
        );
        warn!("{note}");
        let what = chain.to_string();
        served.tell(settings, Reason::FirewallDropsByDefault, &what, &note);
    }
}
