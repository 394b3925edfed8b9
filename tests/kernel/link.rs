//! The link of the virtual addresses, with the `ip` tool as the judge. Needs the kernel module
//! `dummy`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use spillway::kernel::link::{Error, Link};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1));

pub fn the_link_is_a_dummy_that_is_down_and_its_addresses_are_local() -> Result<()> {
    let mut link = Link::open()?;
    link.add(&[VIP, VIP6])?;
    let shown = ip("-details address show dev kube-ipvs0")?;
    ensure!(
        shown.contains("state DOWN") && shown.contains("dummy"),
        "{shown}"
    );
    ensure!(shown.contains("inet 10.96.0.1/32 "), "{shown}");
    ensure!(
        shown.contains("inet6 fd00:96::1/128 ") && shown.contains("nodad"),
        "{shown}"
    );
    ensure!(ip("route get 10.96.0.1")?.starts_with("local "));
    ensure!(ip("route get fd00:96::1")?.starts_with("local "));
    Ok(())
}

pub fn virtual_addresses_are_not_chosen_as_source() -> Result<()> {
    Link::open()?.add(&[VIP, VIP6])?;
    // A link without addresses leaves the choice among those of all links.
    for command in [
        "link add pod type dummy",
        "link set pod up",
        "link add node type dummy",
        "link set node up",
        "address add 192.0.2.1/32 dev node",
        "address add 2001:db8::1/128 dev node nodad",
        "route add 10.244.0.7 dev pod",
        "route add fd00:96::7 dev pod",
    ] {
        ip(command)?;
    }
    for (to, from) in [("10.244.0.7", "192.0.2.1"), ("fd00:96::7", "2001:db8::1")] {
        let route = ip(&format!("route get {to}"))?;
        ensure!(route.contains(&format!("src {from} ")), "{route}");
    }
    Ok(())
}

pub fn opening_again_finds_the_link_and_its_addresses() -> Result<()> {
    Link::open()?.add(&[VIP, VIP6])?;
    let mut link = Link::open()?;
    ensure!(read(&mut link)? == BTreeSet::from([VIP, VIP6]));
    Ok(())
}

pub fn adding_twice_and_removing_twice_is_no_error() -> Result<()> {
    let mut link = Link::open()?;
    link.add(&[VIP, VIP6, VIP])?;
    link.add(&[VIP6])?;
    link.remove(&[VIP, VIP])?;
    ensure!(read(&mut link)? == BTreeSet::from([VIP6]));
    Ok(())
}

pub fn addresses_of_other_links_are_not_its() -> Result<()> {
    ip("address add 192.0.2.1/32 dev lo")?;
    let mut link = Link::open()?;
    link.add(&[VIP])?;
    ensure!(link.addresses()? == [VIP]);
    Ok(())
}

pub fn an_address_that_is_refused_is_named_and_the_others_are_added() -> Result<()> {
    let mut link = Link::open()?;
    let multicast = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    match link.add(&[VIP, multicast, VIP6]) {
        Err(Error::Refused(refused)) => {
            ensure!(refused.iter().map(|it| it.ip).eq([multicast]));
        }
        other => bail!("{other:?}"),
    }
    ensure!(read(&mut link)? == BTreeSet::from([VIP, VIP6]));
    Ok(())
}

pub fn thousands_of_addresses_go_in_batches() -> Result<()> {
    let mut link = Link::open()?;
    let all: Vec<IpAddr> = (0..1_000)
        .flat_map(|number: u32| {
            let v4 = Ipv4Addr::from_bits(0x0a60_0000 + number);
            let v6 = Ipv6Addr::from_bits(0xfd00_0096_u128 << 96 | u128::from(number));
            [IpAddr::V4(v4), IpAddr::V6(v6)]
        })
        .collect();
    let start = Instant::now();
    link.add(&all)?;
    let added = start.elapsed();
    ensure!(read(&mut link)? == all.iter().copied().collect());
    let start = Instant::now();
    link.remove(&all)?;
    eprintln!(
        "2,000 addresses: added in {added:?}, removed in {:?}",
        start.elapsed()
    );
    ensure!(link.addresses()?.is_empty());
    Ok(())
}

pub fn deleting_needs_no_link() -> Result<()> {
    Link::delete()?;
    Link::open()?.add(&[VIP])?;
    Link::delete()?;
    ensure!(!ip("link show")?.contains("kube-ipvs0"));
    Ok(())
}

fn read(link: &mut Link) -> Result<BTreeSet<IpAddr>> {
    Ok(link.addresses()?.into_iter().collect())
}

fn ip(arguments: &str) -> Result<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}
