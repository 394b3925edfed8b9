//! A hash that agents of different versions agree on.

/// FNV-1a's offset basis and prime for 64 bits (draft-eastlake-fnv).
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of a list of texts: FNV-1a, and after it [`mix`], since FNV's high bits hardly depend
/// on the last characters and names like to differ in these. Part of the wire format of reports,
/// unlike the standard library's hasher, which may change with any release.
pub fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = BASIS;
    for part in parts {
        // 0xff is in no text: without it, "ab" and "c" would be "a" and "bc".
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    mix(hash)
}

/// Spreads every bit over all bits (the finaliser of `SplitMix64`: Steele, Lea and Flood, 2014).
pub fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_changes() {
        assert_eq!(stable_hash([]), mix(BASIS));
        // FNV-1a of "a" is af63dc4c8601ec8c (draft-eastlake-fnv); here 0xff follows.
        let a = 0xaf63_dc4c_8601_ec8c_u64;
        assert_eq!(stable_hash(["a"]), mix((a ^ 0xff).wrapping_mul(PRIME)));
    }

    #[test]
    fn where_a_text_ends_counts() {
        assert_ne!(stable_hash(["ab", "c"]), stable_hash(["a", "bc"]));
    }
}
