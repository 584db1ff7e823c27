//! Small charts as SVG: how long runs took, and when jobs start. Everything in them stands in a table
//! beside them, too; what a colour says, a shape says as well.

use maud::{Markup, html};

use super::{class_of, count};
use crate::core::outcome;
use crate::core::record::RunRecord;
use crate::core::words;

/// So high is a bar at most, and so wide each.
const HIGH: f64 = 56.0;
const WIDE: usize = 12;

/// The last runs as bars, given the newest first: as high as they took long.
pub(super) fn durations(records: &[RunRecord]) -> Markup {
    let runs: Vec<&RunRecord> =
        records.iter().filter(|record| record.started.is_some()).take(60).collect();
    let longest = runs.iter().filter_map(|run| run.duration).max();
    let Some(longest) = longest.filter(|longest| !longest.is_zero()) else { return html! {} };
    let failed = runs.iter().filter(|run| is_bad(run)).count();
    let label = format!(
        "How long the last {} took: at most {}; {failed} failed",
        count(runs.len() as u64, "run"),
        words::elapsed(longest)
    );
    let width = runs.len() * WIDE;
    html! {
        figure.chart {
            svg.bars viewBox={ "0 0 " (width) " 72" } width=(width) height="72" role="img" aria-label=(label) {
                @for (nth, run) in runs.iter().rev().enumerate() {
                    @let share = run.duration.unwrap_or_default().as_secs_f64() / longest.as_secs_f64();
                    @let high = (share * HIGH).max(2.0);
                    @let x = nth * WIDE;
                    @let mark = outcome::mark(run.outcome.as_ref());
                    g class=(class_of(mark)) {
                        rect x=(x + 1) y=(format!("{:.1}", 70.0 - high)) width=(WIDE - 3) height=(format!("{high:.1}")) {
                            title { (title(run)) }
                        }
                        @if is_bad(run) {
                            path d={ "M" (x + 2) " " (format!("{:.1}", 60.0 - high)) "l7 7m0 -7l-7 7" } {}
                        }
                    }
                }
            }
            figcaption { "The last " (count(runs.len() as u64, "run")) ", the newest at the right; the highest bar is " (words::elapsed(longest)) "." }
        }
    }
}

fn is_bad(run: &RunRecord) -> bool {
    run.outcome.as_ref().is_some_and(|outcome| outcome.is_failed_run())
}

fn title(run: &RunRecord) -> String {
    let number = run.run.map(|run| format!("run {run}: ")).unwrap_or_default();
    let word = outcome::word(run.outcome.as_ref(), true);
    match run.duration {
        Some(took) => format!("{number}{word} after {}", words::elapsed(took)),
        None => format!("{number}{word}"),
    }
}
