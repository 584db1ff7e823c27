//! The laws of doc/time.md for one trigger, as code: the property tests of `tests/time/laws.rs` and
//! the fuzz targets both come here.

use std::time::Duration;

use schedrs::instant::{Instant, MICROS};
use schedrs::trigger::cron::DstEffect;
use schedrs::trigger::{CronTrigger, Trigger};

use super::rng::Rng;

/// Walks a trigger from `from` for up to `steps` due times and holds it to the laws on the way.
/// `seed` chooses where it is probed. The answer is the due times.
pub(crate) fn hold(
    trigger: &Trigger,
    from: Instant,
    steps: usize,
    seed: u64,
) -> Result<Vec<Instant>, String> {
    let mut rng = Rng::new(seed);
    let mut dues = Vec::new();
    // A search for what several triggers have in common is bounded: from later on it gets further.
    let is_bounded = matches!(trigger, Trigger::Combined(_));
    let mut at = from;
    for _ in 0..steps {
        let due = trigger.next_after(at);
        if due.is_none() && is_bounded {
            break;
        }
        let end = due.unwrap_or(Instant::MAX);
        if due.is_some_and(|due| due <= at) {
            return Err(format!("{due:?} is not strictly after {at:?}"));
        }
        // The same answer anywhere between two due times: right after the one, right before the
        // other, the seconds beside them, and anywhere.
        let (first, last) = (at.micros(), end.micros() - 1);
        let mut probes = [
            at.micros(),
            at.micros() + 1,
            at.truncated().micros() + MICROS,
            last,
            last + 1 - MICROS,
            last - MICROS,
            rng.within(first..=last.max(first)),
            rng.within(first..=last.max(first)),
        ];
        probes.sort_unstable();
        for probe in probes {
            if (first..=last).contains(&probe) {
                let probe = Instant::from_micros(probe);
                let again = trigger.next_after(probe);
                if again != due {
                    return Err(format!(
                        "after {at:?} the next is {due:?}, but after {probe:?} it is {again:?}"
                    ));
                }
            }
        }
        if let (Some(due), Trigger::Cron(cron)) = (due, trigger) {
            named(cron, due)?;
        }
        let Some(due) = due else { break };
        dues.push(due);
        at = due;
    }
    // Monotone, over points that have nothing to do with the due times.
    let mut points = [0; 4]
        .map(|_| Instant::from_micros(rng.within(Instant::MIN.micros()..=Instant::MAX.micros())));
    points.sort_unstable();
    let answers = points.map(|point| trigger.next_after(point));
    let found = answers.iter().filter(|answer| answer.is_some() || !is_bounded);
    if !found.map(|answer| answer.unwrap_or(Instant::MAX)).is_sorted() {
        return Err(format!("not monotone: after {points:?} come {answers:?}"));
    }
    if let Some(late) = trigger.next_after(Instant::MAX) {
        return Err(format!("{late:?} is after the end of time"));
    }
    Ok(dues)
}

/// A due time of a cron schedule is a whole second within its window, and the wall clocks show
/// what the schedule says, unless they have just been set forward over what it says.
fn named(cron: &CronTrigger, due: Instant) -> Result<(), String> {
    if due.subsec_micros() != 0
        || cron.start().is_some_and(|start| due < start)
        || cron.end().is_some_and(|end| due > end)
    {
        return Err(format!("{due:?} is not a second within the window"));
    }
    let wall = cron.zone().wall_of(due);
    let matches = cron.schedules().iter().any(|schedule| schedule.matches(wall));
    let effect = cron.dst_effect_at(due);
    let from_gap = matches!(effect, Some(DstEffect::Gap { runs, .. }) if runs == due);
    if !matches && !from_gap {
        return Err(format!("nothing matches at {due:?}, and no gap ends there ({effect:?})"));
    }
    if from_gap {
        let before = due.minus(Duration::from_secs(1));
        if cron.zone().offset_at(before) >= cron.zone().offset_at(due) {
            return Err(format!("{effect:?}, but no clock was set forward at {due:?}"));
        }
    }
    Ok(())
}
