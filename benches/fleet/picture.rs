//! A picture of the run: for each service the pods' loads and the levels that served, over time.

use std::fmt::Write as _;

use spillway::model::Level;

use super::measure::{Measure, Sample};
use super::report::part;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
/// Of the loads, of the levels, and of what is between services.
const LOADS: f64 = 160.0;
const LEVELS: f64 = 70.0;
const GAP: f64 = 60.0;
/// The greatest load that fits.
const TOP: f64 = 1.6;
const COLOURS: [&str; Level::ALL.len()] = ["#00441b", "#1b7837", "#7fbf7b", "#f4a582", "#ca0020"];

/// A line's colour, and what it shows.
type Line = (&'static str, fn(&Sample) -> f64);

/// The picture, as SVG.
pub fn svg(measure: &Measure, title: &str) -> String {
    let services = measure.services.len();
    let height =
        (LOADS + LEVELS + GAP).mul_add(f64::from(u32::try_from(services).unwrap_or(u32::MAX)), GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n"
    );
    legend(&mut text);
    let mut top = GAP;
    for (number, record) in measure.services.iter().enumerate() {
        let _ = writeln!(
            text,
            "<text x=\"{LEFT}\" y=\"{:.0}\">service-{number}: load of its pods, as a part of \
             capacity</text>",
            top - 4.0
        );
        loads(&mut text, top, &record.samples);
        levels(&mut text, top + LOADS + 8.0, &record.samples);
        top += LOADS + LEVELS + GAP;
    }
    text.push_str("</svg>\n");
    text
}

fn legend(text: &mut String) {
    let words = Level::ALL.iter().map(|level| level.name()).zip(COLOURS);
    let lines = [("most", "#000000"), ("p99", "#555555"), ("mean", "#2166ac")];
    let mut x = LEFT;
    for (word, colour) in lines.into_iter().chain(words) {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"37\">{word}</text>",
            x + 14.0
        );
        x += 80.0;
    }
}

/// Where a moment is.
fn across(at: f64, samples: &[Sample]) -> f64 {
    let end = samples.last().map_or(1.0, |sample| sample.at.max(1.0));
    LEFT + (WIDTH - LEFT - RIGHT) * at / end
}

fn loads(text: &mut String, top: f64, samples: &[Sample]) {
    let down = |load: f64| top + LOADS * (1.0 - load.min(TOP) / TOP);
    for mark in [0.0, 0.5, 1.0, 1.1, 1.3] {
        let y = down(mark);
        let colour = if mark > 0.9 { "#d6604d" } else { "#cccccc" };
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" \
             stroke-width=\"0.5\"/><text x=\"{}\" y=\"{:.1}\">{mark}</text>",
            WIDTH - RIGHT,
            LEFT - 28.0,
            y + 4.0
        );
    }
    let lines: [Line; 3] = [
        ("#000000", |sample| sample.most),
        ("#555555", |sample| sample.p99),
        ("#2166ac", |sample| sample.mean),
    ];
    for (colour, of) in lines {
        let points: Vec<String> = samples
            .iter()
            .map(|sample| format!("{:.1},{:.1}", across(sample.at, samples), down(of(sample))))
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>",
            points.join(" ")
        );
    }
}

/// The levels' parts of the new connections, on top of one another.
fn levels(text: &mut String, top: f64, samples: &[Sample]) {
    for pair in samples.windows(2) {
        let (x, end) = (across(pair[0].at, samples), across(pair[1].at, samples));
        let all: u64 = pair[1].by_level.iter().sum();
        let mut y = top + LEVELS;
        for (served, colour) in pair[1].by_level.into_iter().zip(COLOURS) {
            let height = LEVELS * part(served, all);
            y -= height;
            if height > 0.0 {
                let _ = writeln!(
                    text,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
                     fill=\"{colour}\"/>",
                    end - x + 0.1
                );
            }
        }
        // A mark every ten seconds.
        if (pair[1].at / 10.0).fract() < 1e-6 {
            let _ = writeln!(
                text,
                "<text x=\"{end:.1}\" y=\"{:.1}\">{:.0} s</text>",
                top + LEVELS + 12.0,
                pair[1].at
            );
        }
    }
}
