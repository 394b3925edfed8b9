//! Load over time: a schedule says how many connections are held open and how many short ones come
//! and go, the driver follows it, and the recording of all that happened can be judged and drawn.

mod driver;
mod judge;
mod picture;
mod recording;
mod schedule;

pub use driver::drive;
pub use judge::{Overload, Tier, first_overload, new_per_tier, total_and_astray};
pub use picture::picture;
pub use recording::{Bucket, Event, Recording, What};
pub use schedule::{Point, Schedule};
