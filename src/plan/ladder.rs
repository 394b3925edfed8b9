//! Weights that make the kernel fill one rank of real servers before it touches the next.
//!
//! The scheduler `sed` picks the real server with the least `(active + 1) / weight`. A rank comes
//! strictly before the next if even its last admitted connection costs less than the first one of
//! an idle real server of the next: `admitted / weight < 1 / farther weight`. So, from the last rank
//! to the first, each weight is that of the farther rank times the connections that may be
//! admitted. `wlc`, which serves UDP, counts flows in the same way.

use std::num::NonZeroU32;

/// The largest weight that the kernel takes: it is an `int` (`ip_vs_dest_user_kern.weight`).
const MOST: u64 = i32::MAX as u64;

/// Within a rank, weights differ at most so many times: with the ratio of two capacities, up to
/// here.
const WIDEST: u32 = 64;

/// The weights of the last rank. With a large one there is room below it, so that a real server can
/// be preferred a little; where many ranks leave no room, small ones do.
const BASES: [u64; 3] = [64, 8, 1];

/// A real server as the ladder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Its rank, 0 first, without gaps.
    pub rank: u8,
    /// Its part of its rank's connections, relative to the others of the rank.
    pub part: NonZeroU32,
    /// The connections that it may be let have.
    pub admitted: u32,
    /// Whether it serves only if those that are no fallback have no room.
    pub fallback: bool,
}

/// A ladder: ranks and weights, one for each rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder(Vec<(u8, u32)>);

impl Ladder {
    /// The ladder of these rungs. Where the kernel's 31 bits cannot hold so many ranks of such
    /// capacities, some become one: of neighbours that are both a fallback or both none, the farthest
    /// first.
    pub fn new(rungs: &[Rung]) -> Self {
        let mut rungs = rungs.to_vec();
        loop {
            let last = rungs.iter().map(|rung| rung.rank).max().unwrap_or(0);
            let ladder = BASES.iter().find_map(|base| build(&rungs, last, *base));
            if let Some(ladder) = ladder {
                return ladder;
            }
            if last == 0 {
                // A single rank always fits, with the parts of its rungs as weights.
                return Self(rungs.iter().map(|_| (0, 1)).collect());
            }
            let joined = (1..=last).rev().find(|rank| is_alike(&rungs, *rank));
            match joined {
                Some(rank) => join(&mut rungs, rank),
                // Before a fallback becomes like others, those of a rank become like each other.
                None if rungs.iter().any(|rung| rung.part != NonZeroU32::MIN) => {
                    for rung in &mut rungs {
                        rung.part = NonZeroU32::MIN;
                    }
                }
                None => join(&mut rungs, last),
            }
        }
    }

    /// Rank and weight of each rung, in the order in which they were given.
    pub fn steps(&self) -> impl Iterator<Item = (u8, u32)> {
        self.0.iter().copied()
    }
}

/// Whether a rank and the one before it are both a fallback, or both none.
fn is_alike(rungs: &[Rung], rank: u8) -> bool {
    let both = rungs.iter().filter(|rung| rung.rank.abs_diff(rank) <= 1);
    let mut both = both.filter(|rung| rung.rank <= rank);
    let first = both.next().map(|rung| rung.fallback);
    both.all(|rung| Some(rung.fallback) == first)
}

/// Makes a rank and the one before it one.
fn join(rungs: &mut [Rung], rank: u8) {
    for rung in rungs.iter_mut().filter(|rung| rung.rank >= rank) {
        rung.rank -= 1;
    }
}

fn build(rungs: &[Rung], last: u8, base: u64) -> Option<Ladder> {
    let parts = parts(rungs, last);
    let mut weights = vec![0; rungs.len()];
    let mut farther = 0;
    for rank in (0..=last).rev() {
        let mine = || {
            rungs
                .iter()
                .zip(&parts)
                .enumerate()
                .filter(|(_, (rung, _))| rung.rank == rank)
        };
        let unit = if rank == last {
            base
        } else {
            // A sixteenth more: so much may be taken off a weight to break ties.
            mine()
                .map(|(_, (rung, part))| {
                    let outweighs = u64::from(rung.admitted).saturating_mul(farther);
                    (outweighs.saturating_add(outweighs / 16) / part).saturating_add(1)
                })
                .max()
                .unwrap_or(base)
        };
        let mut most = farther;
        for (index, (_, part)) in mine() {
            let weight = part.saturating_mul(unit);
            weights[index] = weight;
            most = most.max(weight);
        }
        farther = most;
    }
    let steps = rungs.iter().zip(weights).map(|(rung, weight)| {
        let fits = u32::try_from(weight)
            .ok()
            .filter(|_| (1..=MOST).contains(&weight));
        fits.map(|weight| (rung.rank, weight))
    });
    steps.collect::<Option<_>>().map(Ladder)
}

/// The parts of the rungs in the smallest numbers, none too far below the largest of its rank.
fn parts(rungs: &[Rung], last: u8) -> Vec<u64> {
    let mut parts: Vec<u64> = rungs.iter().map(|rung| rung.part.get().into()).collect();
    for rank in 0..=last {
        let mine = |index: usize| rungs[index].rank == rank;
        let most = (0..parts.len())
            .filter(|index| mine(*index))
            .map(|index| parts[index])
            .max()
            .unwrap_or(1);
        let narrowest = most.div_ceil(WIDEST.into());
        let mut divisor = 0;
        for index in (0..parts.len()).filter(|index| mine(*index)) {
            parts[index] = parts[index].max(narrowest);
            divisor = gcd(divisor, parts[index]);
        }
        // Parts without a common divisor would waste bits that farther ranks need.
        let coarse = if most / divisor.max(1) > WIDEST.into() {
            most.div_ceil(WIDEST.into())
        } else {
            divisor.max(1)
        };
        for index in (0..parts.len()).filter(|index| mine(*index)) {
            parts[index] = (parts[index] / coarse).max(1);
        }
    }
    parts
}

/// The greatest common divisor; that with 0 is the other number.
pub fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rung(rank: u8, part: u32, admitted: u32) -> Rung {
        Rung {
            rank,
            part: NonZeroU32::new(part).expect("a part"),
            admitted,
            fallback: false,
        }
    }

    fn steps(rungs: &[Rung]) -> Vec<(u8, u32)> {
        Ladder::new(rungs).steps().collect()
    }

    #[test]
    fn a_full_near_rank_still_beats_an_idle_far_one() {
        for ranks in 2..=5 {
            let rungs: Vec<Rung> = (0..ranks).map(|rank| rung(rank, 1, 114)).collect();
            let steps = steps(&rungs);
            for pair in steps.windows(2) {
                let ((near, near_weight), (far, far_weight)) = (pair[0], pair[1]);
                assert_eq!(near + 1, far, "{ranks} ranks fit");
                assert!(u64::from(near_weight) > 114 * u64::from(far_weight));
            }
        }
    }

    #[test]
    fn within_a_rank_weights_follow_the_parts() {
        let steps = steps(&[rung(0, 100, 264), rung(0, 50, 164), rung(1, 7, 78)]);
        assert_eq!(steps[0].1, 2 * steps[1].1);
    }

    #[test]
    fn the_farthest_ranks_that_do_not_fit_into_the_kernels_integers_become_one() {
        let rungs: Vec<Rung> = (0..5).map(|rank| rung(rank, 1, 100_000)).collect();
        let ranks: Vec<u8> = steps(&rungs).iter().map(|(rank, _)| *rank).collect();
        assert_eq!(ranks, [0, 1, 1, 1, 1]);
    }

    #[test]
    fn a_fallback_stays_one_however_large_the_capacities_are() {
        for capacity in [600, 2_000, 100_000, 1_000_000] {
            for fallbacks in 1..=2 {
                let rungs: Vec<Rung> = (0..3 + fallbacks)
                    .map(|rank| Rung {
                        fallback: rank >= 3,
                        ..rung(rank, 1 + u32::from(rank % 2) * 63, capacity)
                    })
                    .collect();
                let steps = steps(&rungs);
                let (near, far) = steps.split_at(3);
                for (rank, weight) in near {
                    for (far_rank, far_weight) in far {
                        assert!(rank < far_rank, "{capacity}: {steps:?}");
                        assert!(u64::from(*weight) > u64::from(capacity) * u64::from(*far_weight));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_ladder_is_strict_and_fits(
            rungs in prop::collection::vec((0_u8..5, 1_u32..=1_000_000), 1..40)
        ) {
            // Ranks without gaps, as the plan makes them.
            let mut ranks: Vec<u8> = rungs.iter().map(|(rank, _)| *rank).collect();
            ranks.sort_unstable();
            ranks.dedup();
            let rungs: Vec<Rung> = rungs
                .iter()
                .map(|(rank, capacity)| {
                    let rank = ranks.binary_search(rank).expect("a rank");
                    rung(u8::try_from(rank).expect("few"), *capacity, capacity * 2 + 64)
                })
                .collect();
            let steps = steps(&rungs);
            prop_assert!(steps.iter().all(|(_, weight)| (1..=i32::MAX.unsigned_abs()).contains(weight)));
            if ranks.len() >= 2 {
                prop_assert!(steps.iter().any(|(rank, _)| *rank == 1), "two ranks always fit");
            }
            for ((near, weight), rung) in steps.iter().zip(&rungs) {
                // What breaks ties takes three sixty-fourths at most.
                let least = u64::from(*weight) - u64::from(weight / 64) * 3;
                for (far, far_weight) in &steps {
                    if far > near {
                        prop_assert!(least > u64::from(rung.admitted) * u64::from(*far_weight));
                    }
                }
            }
        }
    }
}
