//! Checks of the marks on packets: ours, and the one that asks for masquerading.

use super::Masquerade;
use super::check::Findings;
use super::file::Configuration;
use crate::kernel::mark::MarkRange;

/// `spillway.markRange`
pub fn marks(text: Option<&str>, findings: &mut Findings<'_>) -> MarkRange {
    let Some(text) = text else {
        return MarkRange::default();
    };
    let parsed = text.split_once('/').and_then(|(prefix, bits)| {
        let hexadecimal = prefix
            .strip_prefix("0x")
            .or_else(|| prefix.strip_prefix("0X"));
        let prefix = match hexadecimal {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => prefix.parse().ok()?,
        };
        MarkRange::new(prefix, bits.parse().ok()?)
    });
    parsed.unwrap_or_else(|| {
        findings.wrong(
            "spillway.markRange",
            format_args!("found {text:?}"),
            "give a prefix that is not 0 and its length from 1 to 24, like 0x01000000/8",
        );
        MarkRange::default()
    })
}

/// kube-proxy's modes ipvs and iptables read one section, its mode nftables another.
pub fn masquerade(
    file: &Configuration,
    marks: MarkRange,
    findings: &mut Findings<'_>,
) -> Masquerade {
    let (field, section) = match &*file.mode {
        "nftables" => ("nftables.masqueradeBit", &file.nftables),
        _ => ("iptables.masqueradeBit", &file.iptables),
    };
    let default = Masquerade::default();
    let given = section.masquerade_bit.unwrap_or(default.bit.into());
    let bit = u8::try_from(given).ok().filter(|bit| *bit < 32);
    match bit {
        None => findings.wrong(
            field,
            format_args!("found {given}"),
            "give a bit from 0 to 31",
        ),
        Some(bit) if marks.mask() & (1 << bit) != 0 => findings.wrong(
            field,
            format_args!("bit {bit} is one of those that tell spillway.markRange from other marks"),
            "choose another bit or another range",
        ),
        Some(_) => {}
    }
    Masquerade {
        bit: bit.unwrap_or(default.bit),
        all: section.masquerade_all,
    }
}
