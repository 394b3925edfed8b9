//! A recording as a picture: who has how many connections, over time. Plain SVG by hand, which is
//! a few lines and needs no crate.

use std::fmt::Write as _;
use std::time::Duration;

use super::judge::Tier;
use super::recording::{Bucket, Recording};

/// The size of the whole.
const SIZE: (f64, f64) = (760.0, 340.0);
/// The plot in it: left, top, right, bottom.
const PLOT: [f64; 4] = [52.0, 48.0, 740.0, 296.0];
/// Of the tiers, nearest first; they differ in brightness, too.
const COLOURS: [&str; 5] = ["#1b7837", "#7fbf7b", "#fdb863", "#b35806", "#542788"];
const FAILED: &str = "#d7301f";

/// Draws the open connections of every tier as stacked areas, a dashed line where the nearer tiers
/// are full, and a red mark wherever a connection failed.
pub fn picture(title: &str, recording: &Recording, tiers: &[Tier], step: Duration) -> String {
    let buckets = recording.buckets(step);
    let stacks: Vec<Vec<usize>> = buckets.iter().map(|bucket| stack(bucket, tiers)).collect();
    let full = full(tiers);
    let most = stacks.iter().flatten().copied().max().unwrap_or(0);
    // The last tier's line would only say that there is more room than anybody used.
    let lines = full.iter().take(tiers.len().saturating_sub(1));
    let shown = lines.clone().copied().max().unwrap_or(0);
    let scale = Scale {
        seconds: step.as_secs_f64() * number(buckets.len().saturating_sub(1).max(1)),
        most: number(most.max(shown).max(1)) * 1.08,
        step: step.as_secs_f64(),
    };
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = draw(&mut svg, title, &scale, |svg| {
        for (index, tier) in tiers.iter().enumerate().rev() {
            writeln!(
                svg,
                r#"<polygon fill="{}" points="{}"><title>{}</title></polygon>"#,
                COLOURS[index % COLOURS.len()],
                scale.area(&stacks, index),
                escaped(&tier.name),
            )?;
        }
        for (full, tier) in lines.zip(tiers) {
            let (left, right, y) = (PLOT[0], PLOT[2], scale.y(*full));
            writeln!(
                svg,
                r##"<path d="M{left} {y:.1}H{right}" stroke="#333" stroke-dasharray="5 4"/>"##
            )?;
            writeln!(
                svg,
                r#"<text x="{}" y="{:.1}" text-anchor="end">{} full</text>"#,
                right - 4.0,
                y - 4.0,
                escaped(&tier.name)
            )?;
        }
        for (index, _) in buckets
            .iter()
            .enumerate()
            .filter(|(_, bucket)| !bucket.failures.is_empty())
        {
            let (x, y) = (scale.x(index), PLOT[3] - 5.0);
            writeln!(
                svg,
                r#"<circle cx="{x:.1}" cy="{y}" r="3" fill="{FAILED}"/>"#
            )?;
        }
        legend(svg, tiers)
    });
    svg
}

/// The open connections of the first tier, of the first two, and so on.
fn stack(bucket: &Bucket, tiers: &[Tier]) -> Vec<usize> {
    sums(tiers.iter().map(|tier| tier.part(&bucket.open)))
}

/// Where the first tier is full, the first two, and so on.
fn full(tiers: &[Tier]) -> Vec<usize> {
    sums(tiers.iter().map(|tier| tier.budget * tier.pods.len()))
}

fn sums(of: impl Iterator<Item = usize>) -> Vec<usize> {
    of.scan(0, |sum, part| {
        *sum += part;
        Some(*sum)
    })
    .collect()
}

/// From counts and seconds to places.
struct Scale {
    seconds: f64,
    most: f64,
    step: f64,
}

impl Scale {
    fn x(&self, bucket: usize) -> f64 {
        self.at(number(bucket) * self.step)
    }

    fn at(&self, seconds: f64) -> f64 {
        PLOT[0] + (PLOT[2] - PLOT[0]) * seconds / self.seconds
    }

    fn y(&self, count: usize) -> f64 {
        PLOT[3] - (PLOT[3] - PLOT[1]) * number(count) / self.most
    }

    /// The corners of everything up to a tier; nearer tiers are drawn over it.
    fn area(&self, stacks: &[Vec<usize>], tier: usize) -> String {
        let mut points = format!("{:.1},{:.1}", PLOT[0], PLOT[3]);
        for (index, stack) in stacks.iter().enumerate() {
            let _ = write!(points, " {:.1},{:.1}", self.x(index), self.y(stack[tier]));
        }
        let last = self.x(stacks.len().saturating_sub(1));
        let _ = write!(points, " {last:.1},{:.1}", PLOT[3]);
        points
    }
}

/// The frame, around what `content` draws.
fn draw(
    svg: &mut String,
    title: &str,
    scale: &Scale,
    content: impl FnOnce(&mut String) -> std::fmt::Result,
) -> std::fmt::Result {
    let [left, top, right, bottom] = PLOT;
    let (width, height) = SIZE;
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="#222"><rect width="{width}" height="{height}" fill="#fff"/>"##
    )?;
    writeln!(
        svg,
        r#"<text x="{left}" y="18" font-size="14">{}</text>"#,
        escaped(title)
    )?;
    content(svg)?;
    writeln!(
        svg,
        r##"<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#222"/>"##
    )?;
    let unit = round_step(scale.most / 5.0);
    let marks = (0..).map(|index: u32| f64::from(index) * unit);
    for count in marks.take_while(|count| *count <= scale.most) {
        let y = bottom - (bottom - top) * count / scale.most;
        let x = left - 5.0;
        writeln!(
            svg,
            r#"<text x="{x}" y="{:.1}" text-anchor="end">{count}</text>"#,
            y + 4.0
        )?;
    }
    let unit = round_step(scale.seconds / 8.0);
    let marks = (0..).map(|index: u32| f64::from(index) * unit);
    for seconds in marks.take_while(|seconds| *seconds <= scale.seconds) {
        let (x, y) = (scale.at(seconds), bottom + 15.0);
        writeln!(
            svg,
            r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{seconds} s</text>"#
        )?;
    }
    let y = height - 10.0;
    writeln!(
        svg,
        r#"<text x="{right}" y="{y}" text-anchor="end">open connections over time</text></svg>"#
    )
}

/// What the colours mean.
fn legend(svg: &mut String, tiers: &[Tier]) -> std::fmt::Result {
    let mut x = PLOT[0];
    for (index, tier) in tiers.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let text = format!("{} ({} × {})", tier.name, tier.pods.len(), tier.budget);
        writeln!(
            svg,
            r#"<rect x="{x:.1}" y="27" width="11" height="11" fill="{colour}"/><text x="{:.1}" y="37">{}</text>"#,
            x + 15.0,
            escaped(&text)
        )?;
        x += 40.0 + 6.2 * number(text.chars().count());
    }
    Ok(())
}

/// 1, 2 or 5 times a power of ten, about as large as this.
fn round_step(about: f64) -> f64 {
    let power = 10f64.powf(about.max(1.0).log10().floor());
    let fits = |factor: &f64| power * factor >= about;
    power * [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn number(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::super::recording::What;
    use super::super::recording::tests::{at, opened};
    use super::*;
    use crate::traffic::Failure;

    #[test]
    fn a_picture_has_an_area_for_each_tier_and_a_mark_for_a_failure() {
        let tiers = ["near", "far & away"].map(|name| Tier {
            name: name.to_owned(),
            pods: vec![format!("{name}-1")],
            budget: 2,
        });
        let recording = Recording {
            events: vec![
                opened(1, "near-1"),
                opened(2, "near-1"),
                opened(11, "far & away-1"),
                at(12, What::Failed(Failure::Refused)),
                opened(25, "near-1"),
            ],
        };
        let svg = picture("Three", &recording, &tiers, Duration::from_secs(1));
        assert_eq!(svg.matches("<polygon").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(
            svg.contains("near full") && !svg.contains("away full"),
            "{svg}"
        );
        assert!(svg.contains("far &amp; away (1 × 2)"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn marks_are_at_round_numbers() {
        let steps = [0.3, 1.5, 7.0, 23.0, 60.0].map(round_step);
        let rounded = steps.map(|step| format!("{step}"));
        assert_eq!(rounded, ["1", "2", "10", "50", "100"]);
    }
}
