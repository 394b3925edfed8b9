//! Against the herd at the head of the list.
//!
//! `sed` gives a tie to the first real server in its list. Connections that come one after the
//! other, each over before the next, meet nothing but ties: one endpoint would get them all. So
//! endpoints that were used less weigh a little more than their neighbours. The plan leaves room
//! for this between the weights of two ranks.

/// In how many groups the endpoints of a rank stand at most.
const BUCKETS: usize = 4;
/// Endpoints of neighbouring groups differ by this part of their weight: too little to matter as
/// soon as they have connections.
const STEP: u32 = 64;

/// The weight of an endpoint in a bucket.
pub fn weight(base: u32, bucket: u8) -> u32 {
    (base - (base / STEP) * u32::from(bucket)).max(1)
}

/// The bucket of each endpoint of a rank, given its use by weight and the bucket that it has:
/// less used ones first.
pub fn buckets(endpoints: &[(f64, u8)]) -> Vec<u8> {
    let mut order: Vec<usize> = (0..endpoints.len()).collect();
    // Ties stay as they are, which saves edits.
    order.sort_by(|a, b| {
        let ((used_a, bucket_a), (used_b, bucket_b)) = (endpoints[*a], endpoints[*b]);
        used_a
            .total_cmp(&used_b)
            .then(bucket_a.cmp(&bucket_b))
            .then(a.cmp(b))
    });
    let mut buckets = vec![0; endpoints.len()];
    for (place, index) in order.into_iter().enumerate() {
        let bucket = if endpoints.len() <= BUCKETS {
            place
        } else {
            place * BUCKETS / endpoints.len()
        };
        buckets[index] = u8::try_from(bucket).unwrap_or_default();
    }
    buckets
}
