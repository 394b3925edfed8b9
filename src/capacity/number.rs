//! Between whole connections and parts of them.

/// The whole number nearest to `value`; 0 for what is negative or no number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
pub fn nearest(value: f64) -> u32 {
    value.round() as u32
}

/// The first whole number that is not below `value`; 0 for what is negative or no number.
pub fn up(value: f64) -> u32 {
    // What adding up parts leaves over is not a connection.
    nearest((value - 1e-6).ceil())
}

/// A counter's difference as a number to compute with.
pub fn float(value: u64) -> f64 {
    // A difference between two ticks is far below 2^32.
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
