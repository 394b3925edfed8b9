//! Firewalls that let nothing through to IPVS, or back from pods, unless told so. Nobody can go around
//! them, so people are told.

use std::time::Duration;

use tracing::{debug, warn};

use super::served::Served;
use crate::config::Settings;
use crate::kernel::nft::{self, Closed, Way};
use crate::serve::events::Reason;

/// A firewall may be loaded long after the agent.
const EVERY: Duration = Duration::from_secs(10);

/// Looks for them now and then, for ever, and tells of each that was not there before.
pub async fn watch(settings: &Settings, served: &Served) {
    let mut rounds = tokio::time::interval(EVERY);
    let mut known = Vec::new();
    loop {
        rounds.tick().await;
        match nft::closed() {
            Ok(closed) => {
                tell(&closed, &known, settings, served);
                known = closed;
            }
            Err(error) => debug!("firewalls cannot be looked for: {error}"),
        }
    }
}

fn tell(closed: &[Closed], known: &[Closed], settings: &Settings, served: &Served) {
    for way in Way::ALL {
        let chains = closed.iter().filter(|chain| chain.way == way).count();
        served.metrics.closed_chains(way.hook(), chains);
    }
    for chain in closed.iter().filter(|chain| !known.contains(chain)) {
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
