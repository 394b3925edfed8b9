//! What the table remembers of clients with session affinity.

use anyhow::{Result, ensure};
use spillway::kernel::nft::{Table, Transaction};

use super::{adding, base, lasting, nft};

pub fn session_affinity_has_a_rule_for_each_time_out_in_use() -> Result<()> {
    let rules = || -> Result<Vec<String>> {
        let mut chains = nft("list chain inet spillway renew")?;
        chains += &nft("list chain inet spillway remember")?;
        let words = chains
            .lines()
            .filter_map(|line| line.split("timeout ").nth(1));
        let mut words: Vec<_> = words
            .filter_map(|rest| Some(rest.split_whitespace().next()?.to_owned()))
            .collect();
        words.dedup();
        Ok(words)
    };
    let mut table = Table::open(&base())?;
    ensure!(rules()?.is_empty());
    table.commit(&adding(&[lasting(2, 5)?, lasting(3, 60)?, lasting(4, 60)?]))?;
    ensure!(rules()? == ["5s", "1m", "5s", "1m"], "{:?}", rules()?);
    let remember = nft("list chain inet spillway remember")?;
    let rule = "meta mark set meta mark . ip6 daddr . th dport map @pins_v6 update @pinned_v6 { ip6 saddr . meta mark timeout 1m : meta mark }";
    ensure!(remember.contains(rule), "no `{rule}` in\n{remember}");
    table.commit(&Transaction {
        remove: vec![lasting(2, 5)?, lasting(3, 60)?],
        add: vec![lasting(2, 7)?],
    })?;
    ensure!(rules()? == ["7s", "1m", "7s", "1m"], "{:?}", rules()?);
    let mut table = Table::open(&base())?;
    ensure!(rules()? == ["7s", "1m", "7s", "1m"], "{:?}", rules()?);
    table.commit(&Transaction {
        remove: vec![lasting(2, 7)?, lasting(4, 60)?],
        add: Vec::new(),
    })?;
    ensure!(rules()?.is_empty(), "{:?}", rules()?);
    Ok(())
}

pub fn taking_over_keeps_what_is_remembered_of_clients_with_affinity() -> Result<()> {
    let mut table = Table::open(&base())?;
    table.commit(&adding(&[lasting(2, 60)?]))?;
    for (family, client) in [("v4", "10.1.0.1"), ("v6", "fd00:10::1")] {
        let element = format!("{{ {client} . 0x01000002 timeout 1h : 0x01000006 }}");
        nft(&format!(
            "add element inet spillway pinned_{family} {element}"
        ))?;
    }
    Table::open(&base())?;
    for (family, client) in [("v4", "10.1.0.1"), ("v6", "fd00:10::1")] {
        let map = nft(&format!("list map inet spillway pinned_{family}"))?;
        ensure!(map.contains(client), "{map}");
    }
    Ok(())
}
